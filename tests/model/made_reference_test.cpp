// Checkpoints that Hugging Face transformers makes and computes while the test runs
// (scripts/make_reference.py): what no checkpoint beside the checkout has.
#include <nlohmann/json.hpp>

#include "attention/mla_identity.h"
#include "catch.h"
#include "model/decoder_weights.h"
#include "model/families/families.h"
#include "python.h"

namespace attnlab {
namespace {

struct Made {
  test::TemporaryFolder folder;
  std::filesystem::path path() const { return folder.path() / "made"; }

  // False where there is no Python for it.
  bool make(const std::string& settings) const {
    const std::string python = test::python_with("torch, transformers, safetensors");
    if (python.empty()) return false;
    const auto script = (test::source_dir() / "scripts" / "make_reference.py").string();
    const std::string command = python + " " + script + " " + path().string() + " " + settings;
    REQUIRE(std::system((command + " >/dev/null 2>&1").c_str()) == 0);
    return true;
  }
};

TEST_CASE(
    "biases of the MLP: logits, loss and gradients are those of Hugging Face transformers, and are kept") {
  const Made made;
  if (!made.make("--family llama --set mlp_bias=true --set tie_word_embeddings=true"))
    SKIP_TEST("no Python with torch and transformers");
  const auto checkpoint = Checkpoint::open(made.path());
  const auto reference = SafetensorsFile::open(made.path() / "reference.safetensors");
  const ModelForm form = read_checkpoint_form(checkpoint);
  CHECK(form.config.mlp_bias);
  const TensorMap weights = read_base_weights(checkpoint, form.config);
  Decoder decoder(form);
  load_weights(decoder, weights);
  const auto ids_BT = reference.tensor("input_ids");
  const auto expected = reference.tensor("logits");
  const auto logits = decoder.logits(decoder.hidden(ids_BT));
  // float32 on both sides: 2⁻²³ for each of some 20 roundings on the way of the largest logit, and as much
  // again for the tail.
  const double roundings = 2 * 20 * 0x1p-23, largest = expected.abs().max().item<double>();
  CHECK((logits - expected).abs().max().item<double>() < roundings * largest);

  const int64_t T = ids_BT.size(1);
  const auto rows = logits.narrow(1, 0, T - 1).flatten(0, 1), targets = ids_BT.narrow(1, 1, T - 1).flatten();
  const auto loss = torch::nll_loss(torch::log_softmax(rows, -1), targets);
  CHECK(loss.item<double>() == Approx(reference.tensor("loss").item<double>()).epsilon(roundings));
  loss.backward();
  int biases = 0;
  for (const auto& parameter : decoder.named_parameters()) {
    INFO(parameter.key());
    const auto wanted = reference.tensor("grad." + parameter.key());
    // A gradient's roundings go forward and back, over sums of all tokens.
    CHECK((parameter.value().grad() - wanted).norm().item<double>() <
          4 * roundings * wanted.norm().item<double>());
    if (!parameter.key().ends_with("_proj.bias")) continue;
    CHECK(wanted.norm().item<double>() > 0);
    ++biases;
  }
  CHECK(biases == 2 * 3);

  // Saved and read again, by the family's names and in the project's own layout.
  for (const ModelForm& saved : {form, ModelForm(form.config, MlaIdentity::Config{})}) {
    const auto folder = made.folder.path() / form_name(saved);
    write_checkpoint(folder, write_model_form(saved), to_file_tensors(saved, convert_weights(weights, saved)));
    const auto again = Checkpoint::open(folder);
    CHECK(again.has("model.layers.1.mlp.down_proj.bias"));
    const torch::NoGradGuard no_grad;
    const auto read = load_decoder(again, torch::kFloat32, torch::kCPU);
    CHECK((read->logits(read->hidden(ids_BT)) - expected).abs().max().item<double>() < 2 * roundings * largest);
  }
}

}  // namespace
}  // namespace attnlab
