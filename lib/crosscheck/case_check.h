// Cases that other software made: a NAME.json with what was asked beside a NAME.safetensors with what came out.
// A check computes the same here and says how far apart the two are.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors.h"
#include "tensor/torch.h"

namespace attnlab {

// What a case came to. Of all its comparisons the one that is farthest out, by its share of what is allowed.
struct CaseOutcome {
  std::string name;
  int64_t comparisons = 0;
  std::string worst;                // what was compared there
  double largest = 0;               // difference
  double allowed = 0;               // largest difference that agrees
  std::string not_checked;          // why nothing was compared, if so
  std::vector<std::string> misses;  // what disagrees
  bool agrees() const { return not_checked.empty() && misses.empty() && comparisons > 0; }
};
using CaseSink = std::function<void(const CaseOutcome&)>;

// How far numbers may be from those expected: |ours - expected| ≤ absolute + relative · max |expected|.
struct Allowed {
  double absolute = 0;
  double relative = 0;
};

// Collects the comparisons of one case.
class CaseCheck {
 public:
  explicit CaseCheck(std::string name) { outcome_.name = std::move(name); }

  // Another shape, or a number that is not finite in one of the two alone, is a miss. Infinities of one sign
  // agree.
  void compare(std::string_view what, const torch::Tensor& ours, const torch::Tensor& expected,
               Allowed allowed);
  void compare(std::string_view what, double ours, double expected, Allowed allowed);
  // Integers and booleans, element by element; of differing ones at most this share agrees.
  void equal(std::string_view what, const torch::Tensor& ours, const torch::Tensor& expected, double share = 0);
  void expect(std::string_view what, bool holds);
  void not_checked(std::string reason) { outcome_.not_checked = std::move(reason); }

  const CaseOutcome& outcome() const { return outcome_; }

 private:
  void add(std::string_view what, double largest, double allowed, bool agrees);
  CaseOutcome outcome_;
};

// A pair of files.
struct CaseFile {
  std::string name;            // relative to the folder, without ending
  std::filesystem::path path;  // of the JSON file
  nlohmann::json facts;
  SafetensorsFile tensors;

  bool has(const std::string& tensor_name) const { return tensors.has(tensor_name); }
  // As `dtype`, a copy of its own. Throws InputError if there is no such tensor.
  torch::Tensor tensor(const std::string& name, torch::ScalarType dtype = torch::kFloat64) const;
  // Throw InputError with file and key where the fact is missing or of another type.
  int64_t integer(const std::string& key) const;
  double number(const std::string& key) const;
  std::string text(const std::string& key) const;
};

// All pairs below `folder`, in order of their names: NAME.json beside NAME.safetensors, but for folders that
// hold a whole checkpoint (config.json). Throws InputError for a folder that is not there, and for a file that
// can't be read.
std::vector<CaseFile> find_case_files(const std::filesystem::path& folder);

// Folders below `folder` (itself included) that hold a checkpoint with reference.safetensors beside it, sorted.
std::vector<std::filesystem::path> find_case_checkpoints(const std::filesystem::path& folder);

// Runs the check on a case of its own: an InputError that it throws is a miss with the error's text.
CaseOutcome check_case(const std::string& name, const std::function<void(CaseCheck&)>& check);

}  // namespace attnlab
