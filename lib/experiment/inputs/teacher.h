// Who teaches the arms of train.distill: the base itself, or the model of a folder.
#pragma once

#include <memory>
#include <string>

#include "experiment/inputs/inputs.h"
#include "model/decoder.h"

namespace attnlab {

struct Teacher {
  std::shared_ptr<Decoder> decoder;  // null without train.distill
  std::string sha256;                // of its weights
};

// Reads of a folder its config.json and its tokenizer, no weights. Throws InputError (key train.distill.teacher
// or train.distill.layers): no checkpoint, another vocabulary, what teacher_problem refuses.
void check_teacher(const Plan& plan, const RunConfig& config, const Base& base);

// Keeps the teacher that it made last: the arms of a process that have the same one share it.
class Teachers {
 public:
  explicit Teachers(const Plan& plan) : plan_(plan) {}
  // On `device`, in the formats that the run computes in, without gradients. Throws as check_teacher does.
  Teacher get(const RunConfig& config, const std::shared_ptr<const Base>& base, torch::Device device);

 private:
  const Plan& plan_;
  std::string key_;
  std::shared_ptr<const Base> base_;
  Teacher last_;
};

}  // namespace attnlab
