// Caches (crosscheck.h): hands each case to the check that knows its method.
#include "crosscheck/check_cache.h"

#include <fmt/format.h>

#include <optional>

#include "checkpoint/checkpoint.h"
#include "crosscheck/crosscheck.h"
#include "model/decoder_weights.h"

namespace attnlab {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> find_model(const CaseFile& file, const std::string& name) {
  const auto is_model = [](const fs::path& path) { return fs::exists(path / "config.json"); };
  for (fs::path at = fs::absolute(file.path).parent_path();; at = at.parent_path()) {
    if (is_model(at / name)) return at / name;
    if (!at.has_relative_path()) return std::nullopt;
    for (const auto& entry : fs::directory_iterator(at, fs::directory_options::skip_permission_denied))
      if (entry.is_directory() && is_model(entry.path() / name)) return entry.path() / name;
  }
}

void check_one(const CaseFile& file, CaseCheck& check) {
  if (is_eviction(file)) return check_eviction(file, check);
  if (is_storage(file)) return check_storage(file, check);
  if (is_lazy(file)) return check_lazy(file, check);
  check.not_checked(fmt::format("no check knows the method {}", file.facts.value("method", "(none)")));
}

}  // namespace

std::shared_ptr<Decoder> model_of(const CaseFile& file) {
  const auto folder = find_model(file, file.text("model"));
  if (!folder) return nullptr;
  return load_decoder(Checkpoint::open(*folder), torch::kFloat64, torch::kCPU);
}

Allowed logits_allowed(const CaseFile& file) {
  const nlohmann::json::json_pointer key("/tolerance/logits_abs/float32_implementation");
  if (!file.facts.contains(key) || !file.facts[key].is_number())
    throw InputError(BadInput{.file = file.path.string(),
                              .key = "tolerance.logits_abs.float32_implementation",
                              .found = "nothing",
                              .expected = "a number"});
  return {.absolute = file.facts[key].get<double>()};
}

void check_cache(const fs::path& folder, const CaseSink& done) {
  for (const auto& file : find_case_files(folder))
    done(check_case(file.name, [&](CaseCheck& check) { check_one(file, check); }));
}

}  // namespace attnlab
