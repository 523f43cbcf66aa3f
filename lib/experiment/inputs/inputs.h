// What runs share: the base's weights, the tokenizer, and the data. Loaded once for equal configs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attention/attention.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "data/token_cache.h"
#include "experiment/plan/plan.h"
#include "text/tokenizer.h"

namespace attnlab {

struct Base {
  DecoderConfig config;
  TensorMap weights;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string tokenizer_file;
  std::optional<int64_t> bos_id;
  int64_t eos_id = 0;             // ends a document
  std::vector<int64_t> stop_ids;  // end an answer, beside eos_id: what the checkpoint names
  std::string weights_sha256, tokenizer_sha256;
  std::vector<std::string> notes;  // of how the checkpoint was read
};

struct Data {
  std::shared_ptr<const Dataset> train, heldout;
  std::string sha256;  // of the files, or of a sample where the examples are generated
};

// Loads what `config` names. Throws InputError with file and key (and with the config's line where it is about
// a key of the config).
std::shared_ptr<const Base> load_base(const Plan& plan, const BaseConfig& config);
std::shared_ptr<const Data> load_data(const Plan& plan, const DataConfig& config);

// Where tokens of large data are kept: the folder in ATTNLAB_TOKEN_CACHE ("off": nowhere), else
// ~/.cache/attnlab/tokens.
std::optional<std::filesystem::path> token_folder();

// Keeps what was loaded last.
class Inputs {
 public:
  // `token_folder`: see above; nothing: tokens are kept in memory only.
  explicit Inputs(const Plan& plan, std::optional<std::filesystem::path> token_folder = std::nullopt)
      : plan_(plan), token_folder_(std::move(token_folder)) {}
  std::shared_ptr<const Base> base(const BaseConfig& config);
  std::shared_ptr<const Data> data(const DataConfig& config);
  // The training batches of a run. Arms that cut the same data in the same way share them.
  std::shared_ptr<const BatchStream> stream(const RunConfig& config);
  // What the user should know of the bases and data read and the streams made since the last call.
  std::vector<std::string> take_notes() { return std::exchange(notes_, {}); }

 private:
  const Plan& plan_;
  std::optional<std::filesystem::path> token_folder_;
  std::optional<BaseConfig> base_config_;
  std::optional<DataConfig> data_config_;
  std::shared_ptr<const Base> base_;
  std::shared_ptr<const Data> data_;
  FlatFields stream_key_;
  std::shared_ptr<const BatchStream> stream_;
  std::vector<std::string> notes_;
};

// How much the training data hold and what rows lose of it: train_examples, train_tokens, truncated_examples,
// truncated_tokens (see BatchStream). Without numbers for data that are tokenised as they are drawn.
FlatFields training_facts(const Data& data, const BatchStream& stream);
// The same as a sentence, "" for such data.
std::string describe_training(const RunConfig& config, const Data& data, const BatchStream& stream);

// How examples become rows of tokens; the same for training and held-out loss.
BatchConfig batch_config(const RunConfig& config, const Base& base);

}  // namespace attnlab
