// Documents that share a row do not see each other: each has the loss and the gradients that it has alone.
#include <limits>
#include <map>

#include "catch.h"
#include "data/batch.h"
#include "model/loss.h"
#include "support.h"

namespace attnlab {
namespace {

constexpr int64_t kColumns = 70;  // two or three of the problems, of up to 47 tokens

using test::batches;

LossInput input_of(const Batch& batch) {
  return make_loss_input(batch.input_ids, batch.targets, batch.rows, batch.columns, torch::kCPU,
                         batch.positions);
}

// The batch with the targets of one document only, which begins at `start` of a row.
Batch only(const Batch& batch, size_t start) {
  Batch one = batch;
  for (size_t i = 0; i < one.targets.size(); ++i) {
    const auto place = static_cast<int64_t>(i) - static_cast<int64_t>(start);
    if (place < 0 || batch.positions[i] != place) one.targets[i] = ignored_target;
  }
  return one;
}

// First positions of documents with something to learn, padding left out.
std::vector<size_t> starts_of(const Batch& batch) {
  std::vector<size_t> starts;
  for (size_t i = 0; i + 1 < batch.positions.size(); ++i)
    if (batch.positions[i] == 0 && batch.positions[i + 1] == 1) starts.push_back(i);
  return starts;
}

std::shared_ptr<Decoder> in_double(const ModelForm& form) {
  auto decoder = test::make_decoder(form, test::lively_weights(form.config));
  decoder->to(torch::kFloat64);
  return decoder;
}

using Gradients = std::map<std::string, torch::Tensor>;

Gradients gradients(Decoder& decoder, const std::vector<Batch>& of) {
  decoder.zero_grad();
  for (const Batch& batch : of) summed_loss(decoder, input_of(batch)).backward();
  Gradients out;
  for (const auto& parameter : decoder.named_parameters())
    if (parameter.value().grad().defined()) out[parameter.key()] = parameter.value().grad().clone();
  return out;
}

// Logits come from two layers of sums of about 300 terms in double (heldout_test.cpp counts them), losses of up
// to 50 targets are below 17 each, and the softmax adds zeros of other documents in another order only: 2 sums
// · 300 terms · 50 · 17 · eps. Gradients are sums of the same chain, backwards, over all 150 targets, of
// entries up to the largest one.
constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kLossError = 2.0 * 300 * 50 * 17 * kEps;
double gradient_error(const torch::Tensor& gradient) {
  return 2.0 * 300 * 150 * kEps * std::max(1.0, gradient.abs().max().item<double>());
}

void check_isolated(const ModelForm& form) {
  const auto decoder = in_double(form);
  const auto packed = batches({.batch_size = 2, .sequence_length = kColumns, .packing = Packing::isolated});
  const auto alone = batches({.batch_size = 1, .sequence_length = kColumns});
  REQUIRE(packed[0].rows == 2);
  std::map<std::vector<int64_t>, double> losses;  // by the document's inputs
  for (const Batch& batch : alone)
    losses[batch.input_ids] = summed_loss(*decoder, input_of(batch)).item<double>();
  size_t found = 0, side_by_side = 0;
  for (const Batch& batch : packed)
    for (const size_t start : starts_of(batch)) {
      std::vector<int64_t> inputs;
      for (size_t i = start; i < batch.positions.size(); ++i)
        if (batch.positions[i] == static_cast<int64_t>(i - start)) inputs.push_back(batch.input_ids[i]);
      REQUIRE(losses.count(inputs) == 1);
      const double loss = summed_loss(*decoder, input_of(only(batch, start))).item<double>();
      CHECK(loss == Approx(losses[inputs]).epsilon(0).margin(kLossError));
      ++found;
      if (start % static_cast<size_t>(batch.columns) == 0) continue;
      ++side_by_side;  // without isolation it would see its neighbour
      Batch joined = only(batch, start);
      joined.positions.clear();
      CHECK(std::abs(summed_loss(*decoder, input_of(joined)).item<double>() - loss) > 1e-3);
    }
  CHECK(found == alone.size());
  CHECK(side_by_side >= 3);
  const auto expected = gradients(*decoder, alone), together = gradients(*decoder, packed);
  REQUIRE(expected.size() == together.size());
  for (const auto& [name, gradient] : expected) {
    CAPTURE(name);
    CHECK((gradient - together.at(name)).abs().max().item<double>() <= gradient_error(gradient));
  }
}

TEST_CASE("a packed batch gives each document the loss and the gradients that it has alone") {
  for (const int64_t window : {0, 5}) {
    DecoderConfig config = test::byte_config();
    config.window = window;
    config.window_layers = {1};
    for (const auto& form : test::all_forms(config)) {
      INFO(form_name(form) << ", window " << window);
      check_isolated(form);
    }
  }
}

TEST_CASE("isolated documents with capped scores, and with frequencies by each document's own length") {
  DecoderConfig config = test::byte_config();
  SECTION("capped") { config.attention_softcap = 2; }
  SECTION("longrope, longer than 16 for some") {
    config.rope_scaling = RopeScaling{.type = RopeType::longrope,
                                      .factor = 4,
                                      .original_positions = 16,
                                      .short_factors = {1, 1, 1},
                                      .long_factors = {1, 1.5, 4}};
  }
  SECTION("dynamic, longer than 16 for some") {
    config.rope_scaling = RopeScaling{.type = RopeType::dynamic, .factor = 3, .original_positions = 16};
  }
  check_isolated(native_form(config));
}

}  // namespace
}  // namespace attnlab
