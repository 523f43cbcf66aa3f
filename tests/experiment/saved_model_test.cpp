// Arms that are not the base's own attention are kept in the project's layout.
#include "catch.h"
#include "checkpoint/end_ids.h"
#include "experiment/arms/arm_model.h"
#include "model/decoder_weights.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

using test::TinyExperiment;

// Every variant that is made from GQA without a file of its own, beside the base's own, and a hybrid.
std::string yaml() {
  std::string text = test::tiny_yaml();
  const auto arms = text.find("arms:"), seeds = text.find("seeds:");
  std::string list = "arms:\n";
  for (const auto& name : variant_names())
    if (variant_made_by(*variant_defaults(name)) != MadeBy::nothing && name != "torchscript")
      list += "  - {name: " + name + ", variant: " + name + "}\n";
  list +=
      "  - {name: hybrid, variant: gqa, layers: [{of: \"1\", variant: mla_identity, options: {absorb: "
      "false}}]}\n";
  return text.replace(arms, seeds - arms, list);
}

torch::Tensor logits_of(Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  return decoder.logits(decoder.hidden(torch::tensor({{1, 30, 7, 500, 2, 1023, 11, 5, 19}})));
}

TEST_CASE("a saved model of any arm loads again and gives the arm's logits") {
  const TinyExperiment experiment(yaml());
  const Plan plan = make_plan({.config = experiment.config});
  Inputs inputs(plan);
  for (const auto& run : plan.runs) {
    INFO(run.config.arm.name);
    const auto base = inputs.base(run.config.base);
    const ArmModel arm = make_arm_model(run.config, *base, torch::kCPU);
    const auto folder = experiment.folder.path() / run.config.arm.name;
    save_arm_model(folder, *arm.decoder, *base);
    const auto checkpoint = Checkpoint::open(folder);
    const auto loaded = load_decoder(checkpoint, torch::kFloat32, torch::kCPU);
    CHECK(form_name(loaded->form()) == form_name(arm.decoder->form()));
    // From memory of its own: products are rounded in another order where mapped values are aligned otherwise.
    for (auto& parameter : loaded->parameters()) parameter.set_data(parameter.clone());
    CHECK(torch::equal(logits_of(*loaded), logits_of(*arm.decoder)));
    CHECK(end_ids(checkpoint) == std::vector<int64_t>{base->eos_id});
    CHECK_NOTHROW(Tokenizer::load(folder));
  }
}

TEST_CASE("a trained mla arm is saved, and refused as the base of an experiment") {
  const TinyExperiment experiment;
  const auto outcome = experiment.run("--set train.save_model=true");
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  const auto model = experiment.out / "orthogonal" / "seed0.model";
  const auto trained = load_decoder(Checkpoint::open(model), torch::kFloat32, torch::kCPU);
  const Plan plan = make_plan({.config = experiment.config});
  Inputs inputs(plan);
  const RunConfig& config = plan.runs.at(1).config;
  REQUIRE(config.arm.variant == "mla_orthogonal");
  const ArmModel before = make_arm_model(config, *inputs.base(config.base), torch::kCPU);
  CHECK_FALSE(torch::allclose(logits_of(*trained), logits_of(*before.decoder), 1e-3, 1e-4));

  const TinyExperiment next;
  const auto refused = next.run("--set 'base={path: " + model.string() + "}'");
  CHECK(refused.code == 2);
  CHECK_FALSE(std::filesystem::exists(next.out));
  CHECK_THAT(refused.output, ContainsSubstring("base.path: found " + model.string() +
                                               ", whose attention was converted to "
                                               "mla_orthogonal, expected a checkpoint with "
                                               "the attention of its family (model_type llama)"));
}

}  // namespace
}  // namespace attnlab
