// Cases of layers, by what they hold. Each function knows its cases by a tensor or fact that no other has.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "attention/mixer.h"
#include "crosscheck/case_check.h"

namespace attnlab {

// Inputs of a case whose gradients it may hold (as "grad/NAME"), each as a leaf of its own.
class Leaves {
 public:
  explicit Leaves(const CaseFile& file) : file_(file) {}
  const torch::Tensor& operator[](const std::string& name);
  bool has(const std::string& name) const { return file_.has(name); }
  // Backward of Σ out · cotangent; compares out and all gradients.
  void compare(CaseCheck& check, const torch::Tensor& out, Allowed of_out, Allowed of_gradients);

 private:
  const CaseFile& file_;
  std::map<std::string, torch::Tensor> leaves_;
};

// `relative` of the largest number, or ten times what the other software's float32 was found to be off float64,
// where that is more.
Allowed allowed_beside_float32(const CaseFile& file, const std::string& fact, double relative);

// All tokens of a batch, without padding, with tables if `rotary_dim` > 0.
std::shared_ptr<const Sequence> whole_sequence(int64_t T, int64_t rotary_dim = 0, double theta = 10000);

// Puts file tensors into a module's parameters and compares gradients behind `out`'s backward. `name_of`: a
// parameter's name in the file.
using NameOf = std::function<std::string(const std::string&)>;
void load_parameters(torch::nn::Module& module, const CaseFile& file, const NameOf& name_of);
void compare_module(CaseCheck& check, torch::nn::Module& module, const CaseFile& file, const NameOf& name_of,
                    const torch::Tensor& x, const torch::Tensor& out);

// Each true if the case is one of its kind.
bool check_linear_case(const CaseFile& file, CaseCheck& check);
bool check_mamba_case(const CaseFile& file, CaseCheck& check);
bool check_rwkv_case(const CaseFile& file, CaseCheck& check);
bool check_latent_case(const CaseFile& file, CaseCheck& check);
bool check_start_case(const CaseFile& file, CaseCheck& check);

// A folder of the hub's layout with reference.safetensors and reference.json beside it.
void check_mixer_checkpoint(const std::filesystem::path& folder, CaseCheck& check);

}  // namespace attnlab
