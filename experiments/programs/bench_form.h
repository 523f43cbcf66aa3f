// What bench_decode and bench_serve measure: a form of a shape with random weights, or a model's folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "measure/decode_step.h"
#include "torch_program.h"

namespace attnlab {

struct BenchForm {
  std::string model, form, shape;
  std::vector<std::string> settings;
  int64_t kv_lora_rank = 512, qk_rope_head_dim = 64, bits = 0, group_size = 128;
  bool any_order = false;

  // What a row calls the form.
  std::string title() const;
};
// Adds --form, --shape, --set, --model, --bits, --group-size, --any-order, --kv-lora-rank, --qk-rope-head-dim.
void add_form_options(Program& program, BenchForm& form);
// Throws InputError.
void require_form(const BenchForm& form);
// Of a shape. Throws InputError.
ModelForm form_of(const BenchForm& form);
// The folder's model, ready to be measured; nullptr where a shape is. The folder's name becomes the form's and
// its family's the shape's. Notes go to standard error.
std::shared_ptr<Decoder> folder_decoder(BenchForm& form, torch::ScalarType dtype, torch::Device device);

}  // namespace attnlab
