// Layers that hand on sums of the residual stream.
#include "catch.h"
#include "model/decoder.h"
#include "small_decoder.h"

namespace attnlab {
namespace {

std::shared_ptr<Decoder> summing_decoder(const ModelForm& form, torch::ScalarType dtype) {
  auto decoder = test::make_decoder(form, test::lively_weights(form.config));
  decoder->to(dtype);
  return decoder;
}

// What the norm of the next layer takes in one pass has the bits of a sum and a norm.
TEST_CASE("layers that hand on sums compute the bits of layers one by one") {
  for (const auto dtype : {torch::kFloat64, torch::kFloat32, torch::kBFloat16})
    for (const auto& form : test::all_forms(test::small_config())) {
      INFO(variant_name(form.of(0)) << " " << c10::toString(dtype));
      const auto decoder = summing_decoder(form, dtype), second = summing_decoder(form, dtype);
      const auto ids = test::random_ids(2, 12, 37);
      const auto whole_BTD = decoder->hidden(ids);
      KvBoard board;
      auto x_BTD = second->embed(ids);
      for (size_t layer = 0; layer < second->layers().size(); ++layer)
        x_BTD = second->run_layer(layer, x_BTD, second->make_sequence({}, 12), nullptr, &board);
      const auto steps_BTD = second->final_norm(x_BTD);
      CHECK(torch::equal(whole_BTD, steps_BTD));
      whole_BTD.sin().sum().backward();
      steps_BTD.sin().sum().backward();
      for (const auto& parameter : decoder->named_parameters()) {
        INFO(parameter.key());
        const auto found = parameter.value().grad(),
                   expected = second->named_parameters()[parameter.key()].grad();
        REQUIRE(found.defined() == expected.defined());
        if (found.defined()) CHECK(torch::equal(found, expected));
      }
      // A tap of layers sees what they leave.
      LayerTaps taps{.of = LayerTaps::Of::layers};
      const torch::NoGradGuard no_grad;
      decoder->hidden(ids, {.taps = &taps});
      CHECK(torch::equal(taps.outputs_BTD.back(), x_BTD));
    }
}

}  // namespace
}  // namespace attnlab
