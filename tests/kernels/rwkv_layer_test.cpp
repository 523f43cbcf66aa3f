// The kernels beside RWKV's recurrences, the token shift and what heads compute before and behind, on the CPU
// and on a GPU, against their equations of torch's operations in double precision.
#include <cmath>
#include <functional>

#include "catch.h"
#include "kernels/rwkv_heads.h"
#include "kernels/token_mix.h"
#include "on_cpu/kernels_on_cpu.h"

namespace attnlab::test {
namespace {

using torch::Tensor;
using Tensors = std::vector<Tensor>;

constexpr int64_t kRowsOfBatch = 2, kChannels = 192;

void check_close(const Tensors& expected, const Tensors& found, double relative) {
  REQUIRE(expected.size() == found.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const double size = std::max(1.0, expected[i].abs().max().item<double>());
    const double worst = (found[i].to(torch::kCPU, torch::kFloat64) - expected[i]).abs().max().item<double>();
    INFO("tensor " << i << ": worst " << worst << " of " << size);
    CHECK(worst <= relative * size);
  }
}

// Sums over 64 numbers and up to 160 rows in float32; products of few factors.
constexpr double kFull = 2e-5;

// Some of the inputs may be bfloat16: the results in that format then have 8 bits, as have the sums' terms.
constexpr double kHalf = 0x1p-8;

Tensor randn_of(torch::IntArrayRef sizes) {
  return torch::randn(sizes, torch::kFloat64).to(torch::kBFloat16).to(torch::kFloat64);
}
float* numbers_at(const Tensor& x) { return x.defined() ? x.data_ptr<float>() : nullptr; }
Tensor blank(const Tensor& like) { return like.defined() ? torch::full_like(like, NAN) : like; }

// Results of `function`, and the gradients of Σ results · upstream, for inputs of the given formats.
using Function = std::function<Tensors(const Tensors&)>;
Tensors with_gradients(const Tensors& in, const Tensors& upstream, const Function& function,
                       torch::Device device, const std::function<torch::ScalarType(size_t)>& format) {
  Tensors leaves;
  for (size_t i = 0; i < in.size(); ++i)
    leaves.push_back(
        in[i].detach().to(device, format(i), /*non_blocking=*/false, /*copy=*/true).requires_grad_());
  const auto out = function(leaves);
  Tensor loss = torch::zeros({}, torch::dtype(torch::kFloat64).device(device));
  Tensors all;
  for (size_t i = 0; i < out.size(); ++i) {
    loss = loss + (out[i] * upstream[i].to(device, out[i].scalar_type())).sum();
    all.push_back(out[i].detach());
  }
  loss.backward();
  for (const auto& leaf : leaves) all.push_back(leaf.grad());
  return all;
}
Tensors in_double(const Tensors& in, const Tensors& upstream, const Function& function) {
  return with_gradients(in, upstream, function, torch::kCPU, [](size_t) { return torch::kFloat64; });
}

// Inputs: x, mu, and m if there is one.
Function mix_by_torch(const Tensor& begins_BT) {
  return [begins_BT](const Tensors& in) {
    auto before = torch::constant_pad_nd(in[0].narrow(1, 0, in[0].size(1) - 1), {0, 0, 1, 0});
    if (begins_BT.defined()) before = before.masked_fill(begins_BT.unsqueeze(-1), 0);
    Tensors out;
    for (int64_t y = 0; y < in[1].size(0); ++y) {
      const auto share = in.size() > 2 ? in[1][y] + in[2][y] : in[1][y];
      out.push_back(in[0] + (before - in[0]) * share);
    }
    return out;
  };
}

struct MixCase {
  Tensors in, upstream;
  Tensor begins_BT;
};
MixCase mix_case(int64_t T, int64_t n, bool own_shares, bool documents) {
  MixCase of{.in = {randn_of({kRowsOfBatch, T, kChannels}), randn_of({n, kChannels})},
             .upstream = {},
             .begins_BT = {}};
  if (own_shares) of.in.push_back(randn_of({n, kRowsOfBatch, T, kChannels}));
  for (int64_t y = 0; y < n; ++y) of.upstream.push_back(randn_of({kRowsOfBatch, T, kChannels}));
  if (!documents) return of;
  of.begins_BT = torch::zeros({kRowsOfBatch, T}, torch::kBool);
  for (const int64_t t : {int64_t{0}, T / 2, (T / 2 + 1) % T, T - 1}) of.begins_BT[1][t] = true;
  return of;
}

Tensors mix_by_emulation(const MixCase& of) {
  Tensors in;
  for (const auto& x : of.in) in.push_back(x.to(torch::kFloat32));
  const Tensor m = in.size() > 2 ? in[2] : Tensor(), dm = blank(m);
  const int64_t T = in[0].size(1), n = in[1].size(0);
  const cuda::TokenMix sizes{kRowsOfBatch, T, kChannels, n, of.begins_BT.defined() ? T : 0};
  const cuda::TokenMixInputs inputs{numbers_at(in[0]), numbers_at(in[1]), numbers_at(m),
                                    of.begins_BT.defined() ? of.begins_BT.data_ptr<bool>() : nullptr};
  Tensors out, upstream;
  std::vector<float*> to;
  std::vector<const float*> from;
  for (int64_t y = 0; y < n; ++y) {
    out.push_back(blank(in[0])), to.push_back(numbers_at(out.back()));
    upstream.push_back(of.upstream[static_cast<size_t>(y)].to(torch::kFloat32));
    from.push_back(numbers_at(upstream.back()));
  }
  const Tensor dx = blank(in[0]),
               partial = torch::full({kRowsOfBatch * cuda::token_mix_runs(T), n, kChannels}, NAN);
  token_mix_on_cpu(sizes, inputs, to.data());
  token_mix_backward_on_cpu(sizes, inputs, from.data(), numbers_at(dx), numbers_at(dm), numbers_at(partial));
  out.push_back(dx), out.push_back(partial.sum(0));
  if (dm.defined()) out.push_back(dm);
  return out;
}

TEST_CASE("the source of the kernel of RWKV's token shift, run on the CPU, gives mixes and gradients") {
  torch::manual_seed(11);
  for (const bool own_shares : {false, true})
    for (const bool documents : {false, true})
      for (const int64_t T : {1, 2, 32, 71}) {
        INFO("T " << T << ", own shares " << own_shares << ", documents " << documents);
        const auto of = mix_case(T, own_shares ? 5 : 1, own_shares, documents);
        check_close(in_double(of.in, of.upstream, mix_by_torch(of.begins_BT)), mix_by_emulation(of), kFull);
      }
}

TEST_CASE("RWKV's token shift in a kernel of a GPU is torch's, in each format") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(12);
  for (const bool half : {false, true})
    for (const bool documents : {false, true})
      for (const int64_t n : {1, 5, 6})
        for (const int64_t T : {1, 2, 32, 71}) {
          INFO("T " << T << ", " << n << " mixes, documents " << documents << ", bfloat16 " << half);
          const auto of = mix_case(T, n, n == 5, documents);
          const auto kernel = [&](const Tensors& in) {
            REQUIRE(fits_token_mix(in[0], n));
            return token_mix(in[0], in[1], in.size() > 2 ? in[2] : Tensor(),
                             documents ? of.begins_BT.to(torch::kCUDA) : Tensor());
          };
          const auto found = with_gradients(of.in, of.upstream, kernel, torch::kCUDA, [&](size_t i) {
            return half && i != 1 ? torch::kBFloat16 : torch::kFloat32;
          });
          check_close(in_double(of.in, of.upstream, mix_by_torch(of.begins_BT)), found, half ? kHalf : kFull);
        }
}

Tensor by_head(const Tensor& x) { return x.unflatten(-1, {-1, 64}); }

// Inputs: k, w, a, and the vectors.
Tensors keys_by_torch(const Tensors& in) {
  const auto w = -std::exp(-0.5) * torch::sigmoid(in[3][0] + in[1]), alpha = torch::sigmoid(in[3][1] + in[2]);
  const auto k = by_head(in[0] * in[3][2]);
  const auto kappa = (k / k.norm(2, -1, true).clamp_min(1e-12)).flatten(-2);
  return {w, in[0] * (1 + (alpha - 1) * in[3][3]), -kappa, kappa * alpha};
}

struct KeysCase {
  Tensors in, upstream;
};
KeysCase keys_case(int64_t rows) {
  KeysCase of;
  for (int i = 0; i < 3; ++i) of.in.push_back(randn_of({rows, kChannels}));
  of.in[0].narrow(1, 64, 64).mul_(0x1p-20);  // short ones, too
  of.in.push_back(randn_of({4, kChannels}));
  for (int i = 0; i < 4; ++i) of.upstream.push_back(randn_of({rows, kChannels}));
  of.upstream[2].narrow(1, 64, 64).mul_(0x1p-20), of.upstream[3].narrow(1, 64, 64).mul_(0x1p-20);
  return of;
}

TEST_CASE("the source of the kernel of RWKV-7's keys, run on the CPU, gives them and their gradients") {
  torch::manual_seed(13);
  for (const int64_t rows : {1, 16, 37}) {
    INFO(rows << " rows");
    const auto of = keys_case(rows);
    Tensors in, upstream, out, d;
    for (const auto& x : of.in) in.push_back(x.to(torch::kFloat32));
    for (const auto& x : of.upstream) upstream.push_back(x.to(torch::kFloat32)), out.push_back(blank(in[0]));
    for (int i = 0; i < 3; ++i) d.push_back(blank(in[0]));
    const auto partial = torch::full({cuda::head_runs(rows), 4, kChannels}, NAN);
    const auto numbers = [](const Tensors& x) {
      return cuda::Wkv7Prepared{numbers_at(x[0]), numbers_at(x[1]), numbers_at(x[2]), numbers_at(x[3])};
    };
    const cuda::Wkv7Keys keys{numbers_at(in[0]), numbers_at(in[1]), numbers_at(in[2]), numbers_at(in[3])};
    prepare_wkv7_on_cpu({rows, kChannels}, keys, numbers(out));
    prepare_wkv7_backward_on_cpu({rows, kChannels}, keys, numbers(upstream),
                                 {numbers_at(d[0]), numbers_at(d[1]), numbers_at(d[2])}, numbers_at(partial));
    for (const auto& x : d) out.push_back(x);
    out.push_back(partial.sum(0));
    check_close(in_double(of.in, of.upstream, keys_by_torch), out, kFull);
  }
}

TEST_CASE("RWKV-7's keys in a kernel of a GPU are torch's, in each format") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(14);
  for (const bool half : {false, true})
    for (const int64_t rows : {1, 16, 37, 160}) {
      INFO(rows << " rows, bfloat16 " << half);
      const auto of = keys_case(rows);
      const auto kernel = [](const Tensors& in) {
        const auto out = prepare_wkv7(in[0], in[1], in[2], in[3]);
        return Tensors{out.w_BTW, out.k_BTW, out.a_BTW, out.b_BTW};
      };
      const auto found = with_gradients(of.in, of.upstream, kernel, torch::kCUDA, [&](size_t i) {
        return half && i < 3 ? torch::kBFloat16 : torch::kFloat32;
      });
      check_close(in_double(of.in, of.upstream, keys_by_torch), found, half ? kHalf : kFull);
    }
}

// Inputs: w', w₀.
Tensors decay_by_torch(const Tensors& in) { return {-torch::exp(in[1] + in[0])}; }

KeysCase decay_case(int64_t rows) {
  return {.in = {randn_of({rows, kChannels}), randn_of({kChannels})},
          .upstream = {randn_of({rows, kChannels})}};
}

TEST_CASE("the source of the kernel of RWKV-6's decay, run on the CPU, gives it and its gradients") {
  torch::manual_seed(17);
  for (const int64_t rows : {1, 16, 37}) {
    INFO(rows << " rows");
    const auto of = decay_case(rows);
    const auto lora = of.in[0].to(torch::kFloat32), w0 = of.in[1].to(torch::kFloat32),
               dw = of.upstream[0].to(torch::kFloat32);
    const auto w = blank(lora), dlora = blank(lora),
               partial = torch::full({cuda::head_runs(rows), kChannels}, NAN);
    const cuda::HeadRows sizes{rows, kChannels};
    rwkv6_decay_on_cpu(sizes, numbers_at(lora), numbers_at(w0), numbers_at(w));
    rwkv6_decay_backward_on_cpu(sizes, numbers_at(lora), numbers_at(w0), numbers_at(dw), numbers_at(dlora),
                                numbers_at(partial));
    check_close(in_double(of.in, of.upstream, decay_by_torch), {w, dlora, partial.sum(0)}, kFull);
  }
}

TEST_CASE("RWKV-6's decay in a kernel of a GPU is torch's, in each format") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(18);
  for (const bool half : {false, true})
    for (const int64_t rows : {1, 16, 37, 160}) {
      INFO(rows << " rows, bfloat16 " << half);
      const auto of = decay_case(rows);
      const auto kernel = [](const Tensors& in) { return Tensors{rwkv6_decay(in[0], in[1])}; };
      const auto found = with_gradients(of.in, of.upstream, kernel, torch::kCUDA, [&](size_t i) {
        return half && i == 0 ? torch::kBFloat16 : torch::kFloat32;
      });
      check_close(in_double(of.in, of.upstream, decay_by_torch), found, half ? kHalf : kFull);
    }
}

constexpr double kEps = 64e-5;

// Inputs: o, gate, the vectors, and with a bonus r, k, v.
Tensors output_by_torch(const Tensors& in) {
  const auto rows = in[0].size(0);
  const auto normed = torch::group_norm(in[0], kChannels / 64, in[2][0], in[2][1], kEps);
  if (in.size() == 3) return {normed * torch::silu(in[1])};
  const auto bonus = by_head(in[3] * in[4] * in[2][2]).sum(-1, true);
  return {(normed + (bonus * by_head(in[5])).view({rows, kChannels})) * in[1]};
}

KeysCase output_case(int64_t rows, bool bonus) {
  KeysCase of{
      .in = {randn_of({rows, kChannels}), randn_of({rows, kChannels}), randn_of({bonus ? 3 : 2, kChannels})},
      .upstream = {randn_of({rows, kChannels})}};
  for (int i = 0; bonus && i < 3; ++i) of.in.push_back(randn_of({rows, kChannels}));
  return of;
}

TEST_CASE("the source of the kernel of RWKV's output, run on the CPU, gives it and its gradients") {
  torch::manual_seed(15);
  for (const bool bonus : {false, true})
    for (const int64_t rows : {1, 16, 37}) {
      INFO(rows << " rows, bonus " << bonus);
      const auto of = output_case(rows, bonus);
      Tensors in, d;
      for (const auto& x : of.in) in.push_back(x.to(torch::kFloat32)), d.push_back(blank(in.back()));
      in.resize(6), d.resize(6);
      const auto dy = of.upstream[0].to(torch::kFloat32), y = blank(dy);
      const auto partial = torch::full({cuda::head_runs(rows), bonus ? 3 : 2, kChannels}, NAN);
      const cuda::RwkvOutputs inputs{.o = numbers_at(in[0]),
                                     .k = numbers_at(in[4]),
                                     .r = numbers_at(in[3]),
                                     .v = numbers_at(in[5]),
                                     .gate = numbers_at(in[1]),
                                     .vectors = numbers_at(in[2]),
                                     .eps = static_cast<float>(kEps)};
      rwkv_output_on_cpu({rows, kChannels}, inputs, numbers_at(y));
      rwkv_output_backward_on_cpu({rows, kChannels}, inputs, numbers_at(dy),
                                  {.o = numbers_at(d[0]),
                                   .k = numbers_at(d[4]),
                                   .r = numbers_at(d[3]),
                                   .v = numbers_at(d[5]),
                                   .gate = numbers_at(d[1])},
                                  numbers_at(partial));
      Tensors found{y, d[0], d[1], partial.sum(0)};
      if (bonus) found.insert(found.end(), {d[3], d[4], d[5]});
      check_close(in_double(of.in, of.upstream, output_by_torch), found, kFull);
    }
}

TEST_CASE("RWKV's output in a kernel of a GPU is torch's, in each format") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(16);
  for (const bool half : {false, true})
    for (const bool bonus : {false, true})
      for (const int64_t rows : {1, 16, 37, 160}) {
        INFO(rows << " rows, bonus " << bonus << ", bfloat16 " << half);
        const auto of = output_case(rows, bonus);
        const auto kernel = [&](const Tensors& in) {
          const auto given = [&](size_t i) { return i < in.size() ? in[i] : Tensor(); };
          return Tensors{rwkv_output({.o_BTW = in[0],
                                      .gate_BTW = in[1],
                                      .vectors_nW = in[2],
                                      .eps = kEps,
                                      .r_BTW = given(3),
                                      .k_BTW = given(4),
                                      .v_BTW = given(5)})};
        };
        const auto found = with_gradients(of.in, of.upstream, kernel, torch::kCUDA, [&](size_t i) {
          return half && (i == 1 || i == 3 || i == 5) ? torch::kBFloat16 : torch::kFloat32;
        });
        check_close(in_double(of.in, of.upstream, output_by_torch), found, half ? kHalf : kFull);
      }
}

}  // namespace
}  // namespace attnlab::test
