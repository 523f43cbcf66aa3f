// The model that is evaluated, with all that asking it takes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "model/precision.h"
#include "text/tokenizer.h"

namespace attnlab {

struct TaskModel {
  Decoder& decoder;
  const Tokenizer& tokenizer;
  std::optional<int64_t> bos_id;  // stands before every prompt, if given
  int64_t prefix_id = 0;  // stands for an empty context and before a text: bos if there is one, else eos
  int64_t eos_id = 0;     // ends a reply
  std::vector<int64_t> stop_ids;  // end a reply, too
  Precision precision = Precision::float32;
  CachePlan cache = {};          // how states are kept
  int64_t batch_rows = 32;       // sequences that are generated at a time
  bool record_steps = true;      // of generation, on a GPU (GenerateOptions)
  bool batch_invariant = false;  // GenerateOptions::batch_invariant
  int64_t batch_tokens = 8192;   // tokens whose likelihood is computed at a time

  // Tokens that the model reads at once.
  int64_t window() const { return decoder.config().max_positions; }
  // Ids of a text, bos before it.
  std::vector<int64_t> encode_prompt(const std::string& text) const;
};

}  // namespace attnlab
