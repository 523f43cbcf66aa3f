// What runs share: the base's weights, the tokenizer, and the data. Loaded once for equal configs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "experiment/plan.h"
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
};

struct Data {
  std::shared_ptr<const Dataset> train, heldout;
  std::string sha256;  // of the files, or of a sample where the examples are generated
};

// Loads what `config` names. Throws InputError with file and key (and with the config's line where it is about
// a key of the config).
std::shared_ptr<const Base> load_base(const Plan& plan, const BaseConfig& config);
std::shared_ptr<const Data> load_data(const Plan& plan, const DataConfig& config);

// Keeps what was loaded last.
class Inputs {
 public:
  explicit Inputs(const Plan& plan) : plan_(plan) {}
  std::shared_ptr<const Base> base(const BaseConfig& config);
  std::shared_ptr<const Data> data(const DataConfig& config);
  // The training batches of a run. Arms that cut the same data in the same way share them.
  std::shared_ptr<const BatchStream> stream(const RunConfig& config);

 private:
  const Plan& plan_;
  std::optional<BaseConfig> base_config_;
  std::optional<DataConfig> data_config_;
  std::shared_ptr<const Base> base_;
  std::shared_ptr<const Data> data_;
  FlatFields stream_key_;
  std::shared_ptr<const BatchStream> stream_;
};

// How examples become rows of tokens; the same for training and held-out loss.
BatchConfig batch_config(const RunConfig& config, const Base& base);

}  // namespace attnlab
