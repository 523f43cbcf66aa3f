// Generating with a cache computes what one pass over the whole sequence computes.
#include <algorithm>

#include "attention/gated_linear.h"
#include "attention/gla.h"
#include "attention/gqla.h"
#include "attention/linear_attention.h"
#include "attention/mamba.h"
#include "attention/mamba2.h"
#include "attention/mla_identity.h"
#include "attention/mla_orthogonal.h"
#include "attention/tpa.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

using test::kDouble;

// The whole table, a truncated latent, and the other forms of what keeps a state.
std::vector<VariantConfig> cached_variants() {
  auto configs = all_variants();
  configs.push_back(MlaOrthogonal::Config{.rank = 3});
  for (const auto map : {FeatureMapKind::elu, FeatureMapKind::t2r, FeatureMapKind::exp})
    configs.push_back(LinearAttention::Config{.feature_map = map});
  configs.push_back(LinearAttention::Config{.by_query_head = true, .rotary = false});
  configs.push_back(GatedLinear::Config{.feature_map = FeatureMapKind::elu, .by_query_head = true});
  configs.push_back(Mamba2::Config{.start = Mamba2Start::mamba_in_the_llama});
  configs.push_back(Mamba2::Config{.conv_kernel = 1});
  configs.push_back(Mamba::Config{.conv_kernel = 1});
  configs.push_back(Gla::Config{.latent_width = 5});
  configs.push_back(Gqla::Config{.kv_lora_rank = 7, .decode = GqlaDecode::groups});
  configs.push_back(Gqla::Config{.kv_lora_rank = 7, .decode = GqlaDecode::automatic});
  configs.push_back(Gla::Config{.latent_heads = 1, .latent_width = 5});
  configs.push_back(Tpa::Config{.rank = 1, .contextual = true});
  return configs;
}

TEST_CASE("decoding step by step equals the full forward pass, absorbed or not") {
  const torch::NoGradGuard no_grad;
  for (auto size : odd_sizes()) {
    size.T = 21;
    for (const auto dtype : {torch::kFloat64, torch::kFloat32})
      for (const auto& config : cached_variants()) {
        const auto module = random_attention(size, config, dtype, 31);
        const auto input = random_input(size, dtype, 32, config);
        const auto expected = module->forward(input);
        for (const bool absorb : {false, true})
          for (const int64_t prompt : {1, 8, 20}) {
            INFO(size.name << ": " << label(config) << ", absorb " << absorb << ", prompt " << prompt);
            module->set_absorb(absorb);
            CHECK(close(decode(*module, input, prompt), expected, 2 * tolerance(size, dtype, expected)));
          }
      }
  }
}

TEST_CASE("absorbing is chosen by the config") {
  const Size size = odd_sizes()[0];
  const torch::NoGradGuard no_grad;
  // The paths differ in rounding only, which shows that there are two.
  const auto input = random_input(size, torch::kFloat32, 32);
  const auto absorbed = random_attention(size, MlaIdentity::Config{.absorb = true}, torch::kFloat32, 31);
  const auto plain = random_attention(size, MlaIdentity::Config{.absorb = false}, torch::kFloat32, 31);
  CHECK_FALSE(torch::equal(decode(*absorbed, input, 1), decode(*plain, input, 1)));
}

// Rows of different lengths, padded on the left: row b holds its tokens at the end, positions count from them.
struct Ragged {
  Tokens input;
  std::vector<int64_t> padding;
};

Ragged ragged_input(const Size& size, const VariantConfig& config, const std::vector<int64_t>& padding) {
  Ragged ragged{random_input(size, kDouble, 42), padding};
  const auto pad_B1 = torch::tensor(padding).unsqueeze(1);
  const auto index = torch::arange(size.T);
  const auto positions_BT = (index.unsqueeze(0) - pad_B1).clamp_min(0);
  const int64_t width = variant_turning_dim(size.shape, config, size.shape.head_dim);
  ragged.input.tables() = rotary_tables(positions_BT, width, 10000.0, kDouble);
  ragged.input.parts.padding_B1 = pad_B1;
  return ragged;
}

// What row b gives alone and without padding.
torch::Tensor alone(Mixer& module, const VariantConfig& config, const Size& size, const Ragged& ragged,
                    int64_t b) {
  const int64_t start = ragged.padding[static_cast<size_t>(b)];
  Tokens row = random_input({size.name, size.shape, 1, size.T - start}, kDouble, 1, config);
  row.x_BTD = ragged.input.x_BTD.narrow(0, b, 1).narrow(1, start, size.T - start);
  return module.forward(row);
}

TEST_CASE("left-padded rows with their own positions give what each row gives alone") {
  const torch::NoGradGuard no_grad;
  for (auto size : odd_sizes()) {
    size.B = 3;
    size.T = 21;
    for (const auto& config : cached_variants()) {
      const auto ragged = ragged_input(size, config, {0, 7, 4});
      for (const bool absorb : {false, true}) {
        INFO(size.name << ": " << label(config) << ", absorb " << absorb);
        const auto module = random_attention(size, config, kDouble, 41);
        module->set_absorb(absorb);
        const auto full = module->forward(ragged.input), stepped = decode(*module, ragged.input, 9);
        for (int64_t b = 0; b < size.B; ++b) {
          const auto expected = alone(*module, config, size, ragged, b);
          const double bound = 2 * tolerance(size, kDouble, expected);
          const int64_t T = expected.size(1);
          CHECK(close(full.narrow(0, b, 1).narrow(1, size.T - T, T), expected, bound));
          CHECK(close(stepped.narrow(0, b, 1).narrow(1, size.T - T, T), expected, bound));
        }
      }
    }
  }
}

TEST_CASE("a prompt in pieces gives what it gives at once") {
  const torch::NoGradGuard no_grad;
  Size size = odd_sizes()[0];
  size.B = 3;
  size.T = 90;
  for (const auto& config : cached_variants()) {
    INFO(label(config));
    const auto module = random_attention(size, config, kDouble, 61);
    const auto ragged = ragged_input(size, config, {0, 40, 3});
    const auto expected = module->forward(ragged.input);
    LayerState state(module->state_layout(), size.B, size.T, ragged.input.x_BTD.options());
    int64_t from = 0;
    for (const int64_t T : {33, 1, 2, 54}) {
      const auto piece = module->forward(ragged.input.pass(from, T, &state));
      const double bound = 2 * tolerance(size, kDouble, expected);
      // Row 1 begins in the last piece.
      for (const int64_t b : {0, 1, 2})
        if (const int64_t skip = std::max<int64_t>(ragged.padding[static_cast<size_t>(b)] - from, 0); skip < T)
          CHECK(close(piece[b].narrow(0, skip, T - skip), expected[b].narrow(0, from + skip, T - skip), bound));
      from += T;
    }
  }
}

TEST_CASE("documents that share a row give what each gives alone") {
  const torch::NoGradGuard no_grad;
  Size size = odd_sizes()[2];
  size.B = 2;
  size.T = 90;
  const std::vector<std::vector<int64_t>> lengths{{70, 19, 1}, {3, 87}};
  std::vector<int64_t> positions;
  for (const auto& row : lengths)
    for (const int64_t length : row)
      for (int64_t t = 0; t < length; ++t) positions.push_back(t);
  const auto positions_BT = torch::tensor(positions).view({size.B, size.T});
  for (const auto& config : cached_variants()) {
    INFO(label(config));
    const auto module = random_attention(size, config, kDouble, 71);
    const int64_t width = variant_turning_dim(size.shape, config, size.shape.head_dim);
    Tokens packed = random_input(size, kDouble, 72, config);
    packed.tables() = rotary_tables(positions_BT, width, 10000.0, kDouble);
    packed.parts.document_positions_BT = positions_BT;
    const auto together = module->forward(packed);
    for (size_t b = 0; b < lengths.size(); ++b) {
      int64_t from = 0;
      for (const int64_t length : lengths[b]) {
        const auto row = static_cast<int64_t>(b);
        Tokens document = random_input({size.name, size.shape, 1, length}, kDouble, 1, config);
        document.x_BTD = packed.x_BTD.narrow(0, row, 1).narrow(1, from, length);
        const auto expected = module->forward(document);
        CHECK(close(together.narrow(0, row, 1).narrow(1, from, length), expected,
                    2 * tolerance(size, kDouble, expected)));
        from += length;
      }
    }
  }
}

TEST_CASE("finished rows leave the cache and the others go on") {
  const torch::NoGradGuard no_grad;
  Size size = odd_sizes()[1];
  size.T = 21;
  const auto rows = torch::tensor(std::vector<int64_t>{2, 0});
  for (const auto& config : all_variants()) {
    INFO(label(config));
    const auto module = random_attention(size, config, kDouble, 51);
    const auto input = random_input(size, kDouble, 52, config);
    const auto expected = module->forward(input).index_select(0, rows);
    LayerState state(module->state_layout(), size.B, size.T, input.x_BTD.options());
    module->forward(input.pass(0, 20, &state));
    state.select_rows(rows);
    MixerInput last = input.pass(20, 1, &state);
    last.x_BTD = last.x_BTD.index_select(0, rows);
    CHECK(close(module->forward(last), expected.narrow(1, 20, 1), 2 * tolerance(size, kDouble, expected)));
  }
}

}  // namespace
}  // namespace attnlab::test
