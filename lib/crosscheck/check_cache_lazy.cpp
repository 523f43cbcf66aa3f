// LazyLLM on a whole model: which tokens each layer looks at and runs, and logits.
#include <fmt/format.h>

#include "crosscheck/check_cache.h"
#include "model/lazy_batch.h"

namespace attnlab {
namespace {

// {"1": 0.3, …}: shares by layer.
std::vector<double> shares_of(const CaseFile& file, int64_t n_layers) {
  std::vector<double> shares(static_cast<size_t>(n_layers));
  const nlohmann::json::json_pointer key("/params/prune_after_layer");
  const auto bad = [&](const std::string& found, const std::string& expected) {
    throw InputError(BadInput{
        .file = file.path.string(), .key = "params.prune_after_layer", .found = found, .expected = expected});
  };
  if (!file.facts.contains(key) || !file.facts[key].is_object()) bad("nothing", "a map of layers to shares");
  for (const auto& [layer, share] : file.facts[key].items()) {
    const bool number = !layer.empty() && layer.find_first_not_of("0123456789") == std::string::npos;
    if (!number || layer.size() > 6 || std::stoll(layer) >= n_layers || !share.is_number())
      bad(fmt::format("{}: {}", layer, share.dump()), fmt::format("a layer below {} and a share", n_layers));
    shares[static_cast<size_t>(std::stoll(layer))] = share.get<double>();
  }
  return shares;
}

// What a run touched, as the case says it.
struct Touched {
  torch::Tensor used, computed, waiting;

  Touched(int64_t passes, int64_t layers, int64_t columns)
      : used(torch::zeros({passes, layers, columns}, torch::kInt64)),
        computed(torch::zeros_like(used)),
        waiting(torch::zeros({passes, layers - 1}, torch::kInt64)) {}

  void add(int64_t pass, const LazyRow& row) {
    const int64_t layers = used.size(1);
    for (int64_t layer = 0; layer < layers; ++layer) {
      const auto at = static_cast<size_t>(layer);
      used[pass][layer].index_fill_(0, torch::tensor(row.trace().used[at]), 1);
      computed[pass][layer].index_fill_(0, torch::tensor(row.trace().computed[at]), 1);
      if (layer > 0) waiting[pass][layer - 1] = row.waiting(at);
    }
  }
};

}  // namespace

bool is_lazy(const CaseFile& file) { return method_of(file) == "lazyllm"; }

void check_lazy(const CaseFile& file, CaseCheck& check) {
  const auto decoder = model_of(file);
  if (!decoder) return check.not_checked(fmt::format("no folder {} here", file.text("model")));
  const torch::NoGradGuard no_grad;
  const int64_t n_layers = decoder->config().n_layers;
  const auto prompt = file.tensor("input_ids", torch::kInt64).flatten(),
             tokens = file.tensor("tokens", torch::kInt64);
  const int64_t T = prompt.numel(), steps = tokens.numel();
  const auto run = [&](const std::vector<double>& shares, Touched* touched) {
    const CachePlan plan = make_cache_plan({.policy = {.policy = CachePolicyName::lazyllm, .prune = shares}});
    LazyBatch batch(*decoder, {{prompt.const_data_ptr<int64_t>(), prompt.const_data_ptr<int64_t>() + T}}, steps,
                    T, plan);
    std::vector<torch::Tensor> logits{batch.prefill()};
    if (touched) touched->add(0, batch.rows()[0]);
    for (int64_t i = 0; i < steps; ++i) {
      logits.push_back(batch.step(tokens.narrow(0, i, 1)));
      if (touched) touched->add(i + 1, batch.rows()[0]);
    }
    return torch::cat(logits);
  };
  Touched touched(steps + 1, n_layers, T + steps);
  const auto compare = [&](const std::string& prefix, const torch::Tensor& logits) {
    for (const auto& [name, ours] : {std::pair{prefix + "prefill_logits", logits[0]},
                                     std::pair{prefix + "logits", logits.narrow(0, 1, steps)}})
      if (file.has(name)) check.compare(name, ours, file.tensor(name), logits_allowed(file));
  };
  compare("", run(shares_of(file, n_layers), &touched));
  for (const auto& [name, ours] :
       {std::pair{"used", touched.used}, {"computed", touched.computed}, {"aux_entries", touched.waiting}})
    if (file.has(name)) check.equal(name, ours, file.tensor(name, torch::kInt64));
  if (const auto entries = file.facts.find("kv_entries_per_layer"); entries != file.facts.end())
    check.equal("kv_entries_per_layer", touched.computed.sum(std::vector<int64_t>{0, 2}),
                torch::tensor(entries->get<std::vector<int64_t>>()));
  // Shares of 0 drop nothing.
  compare("full_cache_", run(std::vector<double>(static_cast<size_t>(n_layers)), nullptr));
}

}  // namespace attnlab
