// Datasets behind one interface: prompt and answer pairs, or documents, by split.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/data_config.h"
#include "data/split.h"

namespace attnlab {

// A part of a conversation before its last answer, encoded apart. `begins`: with bos in front; `ends`: with eos
// behind it.
struct PromptPart {
  std::string text;
  bool learnt = false, begins = false, ends = false;
};

struct Example {
  std::string prompt;  // text before the answer, template applied; empty for documents
  std::string answer;  // the text to learn
  std::string gold;    // the final answer for exact match; empty if there is none
  // What the prompt is made of, where parts of it are learnt or end as documents do; empty: the prompt is
  // given.
  std::vector<PromptPart> parts = {};
  size_t context_bytes = 0;  // of the prompt, up to where the question begins; 0: the two are one
};

// Immutable; get may be called from several threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  // The index-th example, 0 <= index < size().
  virtual Example get(int64_t index) const = 0;
  // Whether get copies what is held, rather than makes it.
  virtual bool in_memory() const { return false; }
  // Of a mixture: the weights of its parts, and which of them an example is from. Others have no weights.
  virtual std::vector<double> weights() const { return {}; }
  virtual int64_t part_of(int64_t) const { return 0; }
  // What the user should know of the files: keys that were not read, answers without a number.
  virtual std::vector<std::string> notes() const { return {}; }
};

// Opens one split of what `config` names. Generated kinds have three disjoint splits, and their held-out
// problems are all different while the generator has new ones. Files have one held-out set, which valid and
// test both name: heldout_path, or the heldout_share of path that the hash of each example's prompt (or
// document) picks, so that no held-out question is trained on. A mixture's splits are those of its parts
// (mixture.h says in which order). Throws InputError (file, line, key, found,
// expected, nearest) for missing files, malformed JSON, missing keys, files without examples, and settings that
// contradict each other.
std::unique_ptr<Dataset> open_dataset(const DataConfig& config, Split split);

}  // namespace attnlab
