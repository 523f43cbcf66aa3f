// MLA's queries and keys from their projections: the kernels' source on the CPU, through all that stands around
// it, and the kernels on a GPU, against torch's operations in double precision.
#include "kernels/latent_heads.h"

#include "../attention/support.h"
#include "attention/deepseek_mla.h"
#include "attention/mla_deepseek.h"
#include "attention/rotary.h"
#include "attention/side_by_side.h"
#include "catch.h"
#include "on_cpu/kernels_on_cpu.h"

namespace attnlab::test {
namespace {

using torch::Tensor;
using Tensors = std::vector<Tensor>;

int runs = 0;  // of the source on the CPU

template <auto kernel>
void counted(cuda::Format format, cuda::Format tables, const cuda::LatentHeadsLayout& layout,
             const cuda::LatentHeadsPointers& at) {
  ++runs;
  kernel(format, tables, layout, at);
}
constexpr LatentHeadsKernels kOnCpu{.forward = counted<latent_heads_on_cpu>,
                                    .backward = counted<latent_heads_backward_on_cpu>};

struct HeadsShape {
  int64_t B, T, N, nope, rope, value, tables_b, tables_t;
  RotaryPairs pairs;
};

std::vector<HeadsShape> heads_shapes() {
  return {{2, 5, 3, 24, 16, 8, 1, 5, RotaryPairs::halves},
          {2, 5, 3, 24, 16, 8, 2, 5, RotaryPairs::neighbours},
          {3, 1, 1, 8, 32, 40, 3, 1, RotaryPairs::neighbours},
          {1, 7, 14, 64, 64, 64, 1, 1, RotaryPairs::halves},
          {2, 3, 14, 128, 64, 128, 2, 3, RotaryPairs::neighbours}};
}

// How projections leave their results, and how attention leaves its gradients.
enum class Layout { dense, side_by_side, between_packs, heads_first, expanded };

struct HeadsCase {
  Tensors in;        // q, kv, k_rope
  Tensors upstream;  // of q, k, v
  Tensor cos, sin;
  int64_t N, value;
  RotaryPairs pairs;

  LatentHeads of(const Tensors& leaves) const {
    return {.q_BTQ = leaves[0],
            .kv_BTK = leaves[1],
            .k_rope_BTr = leaves[2],
            .value = value,
            .cos_BTr = cos,
            .sin_BTr = sin,
            .N = N,
            .pairs = pairs};
  }
};

// Numbers that bfloat16 has.
Tensor laid(const Tensor& x_BTW, Layout layout) {
  if (layout != Layout::side_by_side && layout != Layout::between_packs) return x_BTW;
  const int64_t before = layout == Layout::side_by_side ? 16 : 3;
  return torch::cat({x_BTW.narrow(2, 0, 1).expand({-1, -1, before}), x_BTW, x_BTW.narrow(2, 0, 16)}, 2)
      .narrow(2, before, x_BTW.size(2));
}
Tensor upstream_of(const Tensor& like_BTNH, Layout layout) {
  const auto by_token = torch::randn_like(like_BTNH, torch::MemoryFormat::Contiguous).transpose(1, 2);
  if (layout == Layout::expanded) return torch::full({}, 0.75, like_BTNH.options()).expand(by_token.sizes());
  if (layout == Layout::heads_first) return by_token.contiguous();
  return layout == Layout::between_packs
             ? torch::constant_pad_nd(by_token, {3, 2}).narrow(3, 3, by_token.size(3))
             : by_token;
}

HeadsCase heads_case(const HeadsShape& s, Layout layout, torch::ScalarType dtype, torch::ScalarType tables,
                     torch::Device device) {
  const auto options = torch::dtype(dtype).device(device);
  const auto random = [&](int64_t width) { return laid(torch::randn({s.B, s.T, width}, options), layout); };
  const auto grown = [&](int64_t width) {
    return upstream_of(torch::empty({s.B, s.T, s.N, width}, options), layout);
  };
  const auto positions = torch::randint(1000, {s.tables_b, s.tables_t}, torch::kInt64);
  const auto [cos, sin] = rotary_tables(positions, s.rope, 1e4, torch::kFloat32);
  return {.in = {random(s.N * (s.nope + s.rope)), random(s.N * (s.nope + s.value)), random(s.rope)},
          .upstream = {grown(s.nope + s.rope), grown(s.nope + s.rope), grown(s.value)},
          .cos = cos.to(options.dtype(tables)),
          .sin = sin.to(options.dtype(tables)),
          .N = s.N,
          .value = s.value,
          .pairs = s.pairs};
}

Tensor heads_in_double(const Tensor& x) { return x.detach().to(torch::kCPU, kDouble); }

using MakeHeads = AttendedHeads (*)(const LatentHeads&);

// As the layer has them in front of a cache.
AttendedHeads heads_by_torch(const LatentHeads& h) {
  const auto turn = h.pairs == RotaryPairs::neighbours ? apply_rotary_to_pairs : apply_rotary;
  const auto q = split_heads(h.q_BTQ, h.N), kv = split_heads(h.kv_BTK, h.N);
  const int64_t rope = h.k_rope_BTr.size(2), nope = q.size(3) - rope;
  const auto k_rope = turn(h.k_rope_BTr.unsqueeze(1), h.cos_BTr, h.sin_BTr).expand({-1, h.N, -1, -1});
  return {torch::cat({q.narrow(3, 0, nope), turn(q.narrow(3, nope, rope), h.cos_BTr, h.sin_BTr)}, 3),
          torch::cat({kv.narrow(3, 0, nope), k_rope}, 3), kv.narrow(3, nope, h.value)};
}

// q, k, v, and the gradients of the projected ones.
Tensors made_with_gradients(const HeadsCase& c, const MakeHeads& make) {
  Tensors leaves;
  for (const auto& x : c.in) leaves.push_back(x.detach().requires_grad_());
  const auto out = make(c.of(leaves));
  Tensors all{out.q_BNTH.detach(), out.k_BNTH.detach(), out.v_BNTV.detach()};
  torch::autograd::backward({out.q_BNTH, out.k_BNTH, out.v_BNTV}, c.upstream);
  for (const auto& leaf : leaves) all.push_back(leaf.grad());
  return all;
}

Tensors expected_heads(const HeadsCase& c) {
  HeadsCase exact = c;
  for (auto* tensors : {&exact.in, &exact.upstream})
    for (auto& x : *tensors) x = heads_in_double(x);
  exact.cos = heads_in_double(c.cos), exact.sin = heads_in_double(c.sin);
  return made_with_gradients(exact, heads_by_torch);
}

// Two products and a sum of up to 14 numbers in float32, rounded once: half a unit in the last place.
void check_heads(const Tensors& found, const Tensors& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const double rounding = found[i].scalar_type() == torch::kBFloat16 ? 0x1p-8 : 0x1p-24;
    const auto wrong = (heads_in_double(found[i]) - expected[i]).abs() - rounding * expected[i].abs();
    const double greatest = expected[i].abs().max().item<double>();
    INFO("tensor " << i << ": worst " << wrong.max().item<double>() << " of " << greatest);
    CHECK(found[i].sizes() == expected[i].sizes());
    CHECK(wrong.max().item<double>() <= 20 * 0x1p-24 * greatest);
  }
}

void check_all_shapes(torch::Device device) {
  for (const auto layout :
       {Layout::dense, Layout::side_by_side, Layout::between_packs, Layout::heads_first, Layout::expanded})
    for (const auto dtype : {torch::kFloat32, torch::kBFloat16})
      for (const auto& s : heads_shapes()) {
        const auto tables = s.N == 3 ? torch::kFloat32 : dtype;
        INFO("N " << s.N << ", T " << s.T << ", layout " << static_cast<int>(layout) << ", " << dtype);
        const auto c = heads_case(s, layout, dtype, tables, device);
        REQUIRE(fits_latent_heads(c.of(c.in)));
        check_heads(made_with_gradients(c, make_latent_heads), expected_heads(c));
      }
}

TEST_CASE("the source of the kernels of MLA's heads, run on the CPU, gives them and their gradients") {
  torch::manual_seed(41);
  const LatentHeadsOnCpu there(kOnCpu);
  runs = 0;
  check_all_shapes(torch::kCPU);
  CHECK(runs == 2 * 5 * 2 * 5);
}

TEST_CASE("MLA's heads on a GPU and their gradients are those of double precision on a CPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(42);
  check_all_shapes(torch::kCUDA);
}

TEST_CASE("the gradients of MLA's heads on a GPU have the same bits every time") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(43);
  const HeadsShape shape{2, 300, 14, 64, 64, 64, 1, 300, RotaryPairs::halves};
  const auto c = heads_case(shape, Layout::side_by_side, torch::kBFloat16, torch::kFloat32, torch::kCUDA);
  const auto first = made_with_gradients(c, make_latent_heads),
             again = made_with_gradients(c, make_latent_heads);
  for (size_t i = 0; i < first.size(); ++i) CHECK(torch::equal(first[i], again[i]));
  check_heads(first, expected_heads(c));
}

TEST_CASE("MLA's heads lie by token, values where they are, the same without gradients") {
  torch::manual_seed(44);
  const LatentHeadsOnCpu there(kOnCpu);
  const auto shape = heads_shapes()[0];
  const auto c = heads_case(shape, Layout::side_by_side, torch::kFloat32, torch::kFloat32, torch::kCPU);
  const auto with = made_with_gradients(c, make_latent_heads);
  const torch::NoGradGuard no_grad;
  const auto out = make_latent_heads(c.of(c.in));
  CHECK(torch::equal(out.q_BNTH, with[0]));
  CHECK(torch::equal(out.k_BNTH, with[1]));
  CHECK(out.q_BNTH.transpose(1, 2).is_contiguous());
  CHECK(out.k_BNTH.transpose(1, 2).is_contiguous());
  CHECK(out.v_BNTV.const_data_ptr<float>() == c.in[1].const_data_ptr<float>() + shape.nope);
}

TEST_CASE("the gradient of MLA's queries lies as they do, and nobody holds what is between its rows") {
  torch::manual_seed(48);
  const LatentHeadsOnCpu there(kOnCpu);
  for (const auto layout : {Layout::dense, Layout::side_by_side, Layout::between_packs}) {
    const auto c = heads_case(heads_shapes()[0], layout, torch::kFloat32, torch::kFloat32, torch::kCPU);
    const auto q = c.in[0].detach().requires_grad_();
    const auto out = make_latent_heads(c.of({q, c.in[1], c.in[2]}));
    const auto dq = torch::autograd::grad({out.q_BNTH}, {q}, {c.upstream[0]})[0];
    const int64_t row = layout == Layout::between_packs ? q.size(2) : q.stride(1);
    CHECK(dq.strides() == torch::IntArrayRef({q.size(1) * row, row, 1}));
    CHECK(dq.storage_offset() == 0);
    CHECK(dq.storage().use_count() == 1);
  }
}

TEST_CASE("what the kernels of MLA's heads do not take") {
  torch::manual_seed(45);
  const auto shape = heads_shapes()[0];
  const auto fits = [](const HeadsShape& s, torch::ScalarType dtype, torch::ScalarType tables) {
    const auto c = heads_case(s, Layout::dense, dtype, tables, torch::kCPU);
    return fits_latent_heads(c.of(c.in));
  };
  CHECK_FALSE(fits(shape, torch::kFloat32, torch::kFloat32));  // no GPU
  const LatentHeadsOnCpu there(kOnCpu);
  CHECK(fits(shape, torch::kFloat32, torch::kFloat32));
  CHECK_FALSE(fits(shape, kDouble, torch::kFloat32));
  CHECK_FALSE(fits(shape, torch::kFloat32, kDouble));
  auto narrow = shape;
  narrow.nope = 20;
  CHECK(fits(narrow, torch::kFloat32, torch::kFloat32));
  CHECK_FALSE(fits(narrow, torch::kBFloat16, torch::kFloat32));
  narrow = shape;
  narrow.value = 6;
  CHECK_FALSE(fits(narrow, torch::kFloat32, torch::kFloat32));
  narrow = shape;
  narrow.rope = 12;
  CHECK_FALSE(fits(narrow, torch::kFloat32, torch::kFloat32));
}

// y, and the gradients of x and of all parameters.
Tensors trained_layer(Mixer& module, Tokens input) {
  input.x_BTD = input.x_BTD.detach().clone().requires_grad_();
  module.zero_grad();
  const auto y = module.forward(input);
  y.sin().sum().backward();
  Tensors out{y.detach(), input.x_BTD.grad()};
  for (const auto& parameter : module.named_parameters()) out.push_back(parameter.value().grad().clone());
  return out;
}

void check_layer(const Size& size, const VariantConfig& config) {
  INFO(label(config));
  const auto module = random_attention(size, config, torch::kFloat32, 46);
  const auto input = random_input(size, torch::kFloat32, 47, config);
  const auto expected = trained_layer(*module, input);
  for (const bool joined : {false, true}) {
    if (joined) lay_side_by_side(*module);
    const LatentHeadsOnCpu there(kOnCpu);
    runs = 0;
    const auto found = trained_layer(*module, input);
    CHECK(runs == 2);
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      CAPTURE(i, joined);
      CHECK(close(found[i], expected[i], 2 * tolerance(size, torch::kFloat32, expected[i], 3)));
    }
  }
}

TEST_CASE("a layer of MLA trains through the kernels' source as through torch's operations") {
  Size size{"packs", {40, 3, 3, 16, true, false}, 2, 19};
  for (const int64_t rank : {12, 23})  // where k_rope starts
    for (const int64_t q_rank : {0, 11})
      for (const auto norm : {LatentNorm::neutral, LatentNorm::calibrated})
        check_layer(size,
                    MlaDeepseek::Config{.kv_lora_rank = rank, .q_lora_rank = q_rank, .latent_norm = norm});
  for (const bool interleaved : {false, true}) {
    size.shape = {40, 3, 3, 8, false, false};
    size.shape.mla = MlaShape{.kv_lora_rank = 12,
                              .qk_nope_head_dim = 16,
                              .qk_rope_head_dim = 8,
                              .v_head_dim = 12,
                              .interleaved = interleaved};
    check_layer(size, DeepseekMla::Config{});
  }
}

}  // namespace
}  // namespace attnlab::test
