// An arm that is a scripted PyTorch module, in run_ablation: a program with tokenizers and torch in it.
#include <torch/script.h>

#include "catch.h"
#include "results/run_reader.h"
#include "tiny_experiment.h"

namespace attnlab {
namespace {

constexpr const char* kMethods = R"(
def forward(self, x, cos, sin, valid, starts):
    return torch.matmul(x * valid.to(x.dtype).unsqueeze(-1), self.mix)

def from_gqa(self, base: Dict[str, Tensor]) -> Dict[str, Tensor]:
    return {"mix": torch.matmul(base["q_proj.weight"].t(), base["o_proj.weight"].t())}
)";

TEST_CASE("an arm of a scripted module is started from the base, trained and told") {
  std::string yaml = test::tiny_yaml();
  const test::TemporaryFolder scripts;
  const auto path = (scripts.path() / "own.pt").string();
  torch::jit::script::Module module("Own");
  module.register_parameter("mix", torch::zeros({16, 16}), false);
  module.define(kMethods);
  module.save(path);
  const std::string second = "variant: mla_orthogonal";
  const test::TinyExperiment experiment(
      yaml.replace(yaml.find(second), second.size(), "variant: torchscript, options: {path: " + path + "}"));
  const auto outcome = experiment.run();
  INFO(outcome.output);
  REQUIRE(outcome.code == 0);
  const RunRecord run = read_run(experiment.file("orthogonal"));
  CHECK(run.header.variant == "torchscript");
  CHECK(run.train.size() == 6);
}

}  // namespace
}  // namespace attnlab
