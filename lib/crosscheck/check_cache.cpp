// Caches (crosscheck.h): hands each case to the check that knows its method.
#include "crosscheck/check_cache.h"

#include <fmt/format.h>

#include <optional>

#include "checkpoint/checkpoint.h"
#include "core/errors.h"
#include "crosscheck/crosscheck.h"
#include "model/decoder_weights.h"
#include "model/padded_batch.h"

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
  if (is_cross(file)) return check_cross(file, check);
  if (is_layout(file)) return check_layout(file, check);
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

const nlohmann::json& params_of(const CaseFile& file) {
  static const nlohmann::json none = nlohmann::json::object();
  const auto found = file.facts.find("params");
  return found == file.facts.end() ? none : *found;
}

int64_t param(const CaseFile& file, const char* key) {
  const auto& params = params_of(file);
  if (!params.contains(key) || !params[key].is_number_integer())
    throw InputError(BadInput{.file = file.path.string(),
                              .key = std::string("params.") + key,
                              .found = params.contains(key) ? params[key].dump() : "nothing",
                              .expected = "a whole number"});
  return params[key].get<int64_t>();
}

void compare_read(CaseCheck& check, const std::string& name, const torch::Tensor& ours,
                  const torch::Tensor& expected) {
  if (ours.sizes() != expected.sizes()) return check.compare(name, ours, expected, {});
  const auto far = (ours - expected).abs() > kRead.relative * expected.abs().max();
  check.equal(name, far, torch::zeros_like(far), kBoundaryShare);
}

void compare_decoding(const CaseFile& file, CaseCheck& check, Decoder& decoder, const CachePlan& plan,
                      const std::function<void(const std::vector<LayerState>&)>& behind) {
  const torch::NoGradGuard no_grad;
  const auto prompt = file.tensor("input_ids", torch::kInt64).flatten();
  const auto tokens = file.tensor("tokens", torch::kInt64);
  // Rotary angles are float32 whatever the weights are.
  const Allowed allowed = logits_allowed(file);
  const auto* begin = prompt.const_data_ptr<int64_t>();
  const std::vector<int64_t> ids(begin, begin + prompt.numel());
  const auto run = [&](const CachePlan& kept, const std::string& name) {
    PaddedBatch batch(decoder, {ids}, tokens.numel(), prompt.numel(), kept);
    const auto first = batch.prefill()[0];
    std::vector<torch::Tensor> logits;
    for (int64_t i = 0; i < tokens.numel(); ++i) logits.push_back(batch.step(tokens.narrow(0, i, 1))[0]);
    check.compare("prefill_logits", first, file.tensor("prefill_logits"), allowed);
    check.compare(name, torch::stack(logits), file.tensor(name), allowed);
    if (behind && name == "logits") behind(batch.states());
  };
  run({}, "full_cache_logits");
  run(plan, "logits");
}

void check_cache(const fs::path& folder, const CaseSink& done) {
  for (const auto& file : find_case_files(folder))
    done(check_case(file.name, [&](CaseCheck& check) { check_one(file, check); }));
}

}  // namespace attnlab
