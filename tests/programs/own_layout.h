// A checkpoint in the project's own layout, made without the code under test.
#pragma once

#include <nlohmann/json.hpp>

#include "run_program.h"

namespace attnlab::test {

inline nlohmann::json own_config(const nlohmann::json& base, const std::string& variant,
                                 const nlohmann::json& options) {
  return {{"model_type", "attnlab"}, {"variant", variant}, {"options", options}, {"base", base}};
}

// The shipped model as mla_v2 with a group for each KV head: then groups are heads, and U and V inside q_proj
// and o_proj are identities, so that the tensors are GQA's own and the function is the same.
class OwnLayout {
 public:
  OwnLayout() {
    const auto from = source_dir() / "data" / "base_small";
    base = nlohmann::json::parse(read_file(from / "config.json"));
    for (const char* name : {"model.safetensors", "tokenizer.json", "tokenizer_config.json"})
      if (std::filesystem::exists(from / name))
        std::filesystem::create_symlink(std::filesystem::absolute(from / name), folder_.path() / name);
    nlohmann::json config = own_config(base, "mla_v2", {{"groups", base["num_key_value_heads"]}});
    for (const char* key : {"bos_token_id", "eos_token_id"})
      if (base.contains(key)) config[key] = base[key];
    write(config);
  }
  void write(const nlohmann::json& config) const {
    write_file_atomic(folder_.path() / "config.json", config.dump());
  }
  std::string path() const { return folder_.path().string(); }

  nlohmann::json base;

 private:
  TemporaryFolder folder_;
};

}  // namespace attnlab::test
