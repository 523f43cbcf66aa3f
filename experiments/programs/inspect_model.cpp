// inspect_model --model DIR: a model's shapes, parameters, and what its KV cache takes in each form of
// attention.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/numbers.h"
#include "measure/model_report.h"
#include "program.h"
#include "torch_program.h"

namespace {
using namespace attnlab;

struct Options {
  std::string model, config, context;
  int64_t batch = 1, kv_bits = 0;
  LatentRanks ranks;
  double cache = 1;
  bool json = false;
};

// "4096", "512K", "1M" (of 1024 each).
int64_t parse_context(const std::string& text) {
  constexpr int64_t most = int64_t{1} << 40;
  const bool thousands = text.ends_with('K') || text.ends_with('k'), millions = text.ends_with('M');
  const int64_t unit = thousands ? 1024 : millions ? 1024 * 1024 : 1;
  const auto tokens = parse_number<int64_t>(text.substr(0, text.size() - (thousands || millions)));
  if (!tokens || *tokens < 1 || *tokens > most / unit)
    throw InputError(BadInput{.file = "--context",
                              .found = "'" + text + "'",
                              .expected = "a number of tokens, as 4096, 512K or 1M (of 1024 each)"});
  return *tokens * unit;
}

void inspect(const Options& o) {
  if (o.model.empty() == o.config.empty())
    throw InputError(std::string("expected either --model DIR or --config FILE (see --help)"));
  constexpr int64_t most = int64_t{1} << 31;
  require_range("--batch", o.batch, 1, most);
  require_range("--kv-bits", o.kv_bits, 0, 64);
  require_range("--kv-lora-rank", o.ranks.kv_lora_rank, 1, most);
  require_range("--qk-rope-head-dim", o.ranks.qk_rope_head_dim, 0, most);
  if (!(o.cache > 0 && o.cache <= 1))
    throw InputError(
        BadInput{.file = "--cache", .found = fmt::format("{}", o.cache), .expected = "more than 0, up to 1"});
  const int64_t context = o.context.empty() ? 0 : parse_context(o.context);
  const ModelFacts facts = o.model.empty() ? read_config_facts(o.config) : read_model_facts(o.model);
  const KvDemand demand{.context = context > 0 ? context : facts.config.max_positions,
                        .batch = o.batch,
                        .bits = o.kv_bits > 0 ? o.kv_bits : dtype_bits(facts.dtype),
                        .share = o.cache};
  print_notes(facts.notes);
  if (o.json) {
    fmt::print("{}\n", report_json(facts, o.ranks, demand).dump(2));
  } else {
    fmt::print("{}", format_report(facts, o.ranks, demand));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  Program program(
      {.name = "inspect_model",
       .usage = "--model DIR | --config FILE [options]",
       .about = "Prints a model's shapes and parameters, and what its KV cache takes as it is, with other\n"
                "numbers of KV heads, and as MLA. Needs config.json alone; of weights it reads the headers.",
       .example = "inspect_model --model data/base_small --context 512K --batch 8 --kv-bits 8",
       .message = torch_message});
  program.option("model", o.model, "DIR", "a model's folder, with or without weights")
      .option("config", o.config, "FILE", "a config.json, for shapes without a folder")
      .option("context", o.context, "N",
              "tokens of each sequence, as 4096, 512K or 1M (default: the config's most)")
      .option("batch", o.batch, "B", "sequences")
      .option("kv-bits", o.kv_bits, "K", "bits of a cached number; 0: those of the weights")
      .option("cache", o.cache, "SHARE",
              "give each variant the ranks that keep at most this part of the model's own cache")
      .option("kv-lora-rank", o.ranks.kv_lora_rank, "R", "latent numbers of the deepseek_mla row")
      .option("qk-rope-head-dim", o.ranks.qk_rope_head_dim, "R", "rotary numbers of the deepseek_mla row")
      .flag("json", o.json, "print JSON");
  return program.run(argc, argv, [&] { inspect(o); });
}
