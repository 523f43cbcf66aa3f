#include "crosscheck/case_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

std::string sizes_of(const torch::Tensor& x) {
  return fmt::format("[{}]", fmt::join(x.sizes().begin(), x.sizes().end(), ", "));
}

// Its share of what is allowed; more than 1 is out.
double share_of(double largest, double allowed) {
  if (largest == 0) return 0;
  return allowed > 0 ? largest / allowed : std::numeric_limits<double>::infinity();
}

}  // namespace

void CaseCheck::add(std::string_view what, double largest, double allowed, bool agrees) {
  if (outcome_.comparisons == 0 || share_of(largest, allowed) > share_of(outcome_.largest, outcome_.allowed)) {
    outcome_.worst = what;
    outcome_.largest = largest;
    outcome_.allowed = allowed;
  }
  ++outcome_.comparisons;
  if (!agrees)
    outcome_.misses.push_back(fmt::format("{}: {:.2e} apart, {:.2e} allowed", what, largest, allowed));
}

void CaseCheck::compare(std::string_view what, const torch::Tensor& ours, const torch::Tensor& expected,
                        Allowed allowed) {
  const torch::NoGradGuard no_grad;
  if (ours.sizes() != expected.sizes()) {
    ++outcome_.comparisons;
    outcome_.misses.push_back(
        fmt::format("{}: shape {} where {} was expected", what, sizes_of(ours), sizes_of(expected)));
    return;
  }
  const auto a = ours.detach().to(torch::kCPU, torch::kFloat64),
             b = expected.detach().to(torch::kCPU, torch::kFloat64);
  const auto same = a == b;
  const auto finite = b.isfinite();
  const auto apart = torch::where(same, 0, (a - b).abs());
  const double size =
      b.numel() > 0 && finite.any().item<bool>() ? b.masked_select(finite).abs().max().item<double>() : 0;
  const double bound = allowed.absolute + allowed.relative * size;
  const double largest = b.numel() > 0 ? apart.max().item<double>() : 0;  // NaN where one is not a number
  const bool agrees = largest <= bound;
  add(what, std::isnan(largest) ? std::numeric_limits<double>::infinity() : largest, bound, agrees);
}

void CaseCheck::compare(std::string_view what, double ours, double expected, Allowed allowed) {
  compare(what, torch::tensor(ours, torch::kFloat64), torch::tensor(expected, torch::kFloat64), allowed);
}

void CaseCheck::equal(std::string_view what, const torch::Tensor& ours, const torch::Tensor& expected,
                      double share) {
  if (ours.sizes() != expected.sizes()) return compare(what, ours, expected, {});
  const auto differ = ours.to(torch::kCPU, torch::kInt64) != expected.to(torch::kCPU, torch::kInt64);
  const auto n = static_cast<double>(differ.numel());
  const double differing = n > 0 ? static_cast<double>(differ.sum().item<int64_t>()) : 0;
  add(what, differing, share * n, differing <= share * n);
}

void CaseCheck::expect(std::string_view what, bool holds) { add(what, holds ? 0 : 1, 0, holds); }

torch::Tensor CaseFile::tensor(const std::string& of, torch::ScalarType dtype) const {
  return tensors.tensor(of).to(dtype).clone();
}

namespace {

const nlohmann::json& fact(const CaseFile& file, const std::string& key, const char* expected,
                           bool (*fits)(const nlohmann::json&)) {
  static const nlohmann::json missing;
  const auto found = file.facts.find(key);
  if (found == file.facts.end() || !fits(*found))
    throw InputError(BadInput{.file = file.path.string(),
                              .key = key,
                              .found = found == file.facts.end() ? "nothing" : found->dump(),
                              .expected = expected});
  return *found;
}

bool is_pair(const fs::path& path) {
  return path.extension() == ".json" && fs::exists(fs::path(path).replace_extension(".safetensors")) &&
         !fs::exists(path.parent_path() / "config.json");
}

void require_folder(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw InputError(
        BadInput{.file = folder.string(), .found = "no such folder", .expected = "a folder of cases"});
}

}  // namespace

int64_t CaseFile::integer(const std::string& key) const {
  return fact(*this, key, "an integer", [](const auto& value) { return value.is_number_integer(); })
      .template get<int64_t>();
}
double CaseFile::number(const std::string& key) const {
  return fact(*this, key, "a number", [](const auto& value) { return value.is_number(); })
      .template get<double>();
}
std::string CaseFile::text(const std::string& key) const {
  return fact(*this, key, "a text", [](const auto& value) { return value.is_string(); })
      .template get<std::string>();
}

std::vector<CaseFile> find_case_files(const fs::path& folder) {
  require_folder(folder);
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (is_pair(entry.path())) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<CaseFile> files;
  for (const auto& path : paths)
    files.push_back({fs::relative(path, folder).replace_extension().string(), path,
                     parse_json(read_file(path), path.string()),
                     SafetensorsFile::open(fs::path(path).replace_extension(".safetensors"))});
  return files;
}

std::vector<fs::path> find_case_checkpoints(const fs::path& folder) {
  require_folder(folder);
  std::vector<fs::path> folders;
  const auto add = [&](const fs::path& path) {
    if (fs::exists(path / "config.json") && fs::exists(path / "reference.safetensors")) folders.push_back(path);
  };
  add(folder);
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_directory()) add(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

CaseOutcome check_case(const std::string& name, const std::function<void(CaseCheck&)>& check) {
  CaseCheck result(name);
  try {
    check(result);
  } catch (const InputError& error) {
    result.expect(error.what(), false);
  }
  return result.outcome();
}

}  // namespace attnlab
