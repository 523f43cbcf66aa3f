// The chunked recurrences of RWKV-6, RWKV-7 and Mamba against the recurrences themselves, token by token.
#include "attention/wkv.h"

#include "attention/selective_scan.h"
#include "catch.h"
#include "support.h"

namespace attnlab::test {
namespace {

using Tensors = std::vector<torch::Tensor>;
struct Outcome {
  torch::Tensor o, state;
};
// Inputs [B, N, T, x] or, without tokens, others; documents; the state before (undefined: none).
using Form =
    std::function<Outcome(const Tensors& inputs, const torch::Tensor& ids_BT, const torch::Tensor& state)>;

// One document in row 0; in row 1 one begins with the pass, one in the middle and one right behind it.
torch::Tensor numbers_of_documents(int64_t B, int64_t T) {
  auto starts = torch::zeros({B, T}, torch::kInt64);
  for (const int64_t t : {int64_t{0}, T / 2, (T / 2 + 1) % T}) starts[1][t] = 1;
  return starts.cumsum(1);
}

// Calls `step` with the token's part of the tensors that have one, and 1 or 0 for what a document's start
// leaves.
template <class Step>
Outcome each_token(int64_t T, torch::Tensor state, const torch::Tensor& ids_BT, const Step& step) {
  Tensors outputs;
  torch::Tensor id_B = ids_BT.defined() ? torch::zeros_like(ids_BT.select(1, 0)) : ids_BT;
  for (int64_t t = 0; t < T; ++t) {
    if (ids_BT.defined()) {
      const auto now_B = ids_BT.select(1, t);
      state = state * (now_B == id_B).to(state.dtype()).view({-1, 1, 1, 1});
      id_B = now_B;
    }
    outputs.push_back(step(t, state));
  }
  return {torch::stack(outputs, 2), state};
}

torch::Tensor or_zeros(const torch::Tensor& state, torch::IntArrayRef sizes) {
  return state.defined() ? state : torch::zeros(sizes, kDouble);
}

Outcome rwkv6_in_steps(const Tensors& in, const torch::Tensor& ids_BT, const torch::Tensor& before) {
  const auto &r = in[0], &k = in[1], &v = in[2], &w = in[3], &u = in[4];
  return each_token(r.size(2), or_zeros(before, {r.size(0), r.size(1), r.size(3), v.size(3)}), ids_BT,
                    [&](int64_t t, torch::Tensor& S) {
                      const auto kv = torch::einsum("bnk,bnv->bnkv", {k.select(2, t), v.select(2, t)});
                      const auto o = torch::einsum("bnk,bnkv->bnv", {r.select(2, t), S + u.unsqueeze(-1) * kv});
                      S = w.select(2, t).exp().unsqueeze(-1) * S + kv;
                      return o;
                    });
}

Outcome rwkv7_in_steps(const Tensors& in, const torch::Tensor& ids_BT, const torch::Tensor& before) {
  const auto &r = in[0], &w = in[1], &k = in[2], &v = in[3], &a = in[4], &b = in[5];
  return each_token(r.size(2), or_zeros(before, {r.size(0), r.size(1), r.size(3), v.size(3)}), ids_BT,
                    [&](int64_t t, torch::Tensor& S) {
                      const auto Sa = torch::einsum("bnk,bnkv->bnv", {a.select(2, t), S});
                      S = w.select(2, t).exp().unsqueeze(-1) * S +
                          torch::einsum("bnk,bnv->bnkv", {b.select(2, t), Sa}) +
                          torch::einsum("bnk,bnv->bnkv", {k.select(2, t), v.select(2, t)});
                      return torch::einsum("bnk,bnkv->bnv", {r.select(2, t), S});
                    });
}

Outcome mamba_in_steps(const Tensors& in, const torch::Tensor& ids_BT, const torch::Tensor& before) {
  const auto &x = in[0], &step = in[1], &B = in[2], &C = in[3], &A = in[4], &D = in[5];
  return each_token(x.size(2), or_zeros(before, {x.size(0), x.size(1), x.size(3), B.size(3)}), ids_BT,
                    [&](int64_t t, torch::Tensor& h) {
                      const auto dt = step.select(2, t).unsqueeze(-1), xt = x.select(2, t);
                      h = (dt * A).exp() * h + dt * torch::einsum("bnp,bns->bnps", {xt, B.select(2, t)});
                      return torch::einsum("bnps,bns->bnp", {h, C.select(2, t)}) + D * xt;
                    });
}

struct Subject {
  std::string name;
  std::function<Tensors(int64_t T)> inputs;
  Form naive;
  std::function<Outcome(const Tensors&, const torch::Tensor&, const torch::Tensor&, int64_t L)> chunked;
  std::vector<int64_t> state_sizes;
};

torch::Tensor unit_vectors(torch::IntArrayRef sizes) {
  const auto x = torch::randn(sizes, kDouble);
  return x / x.norm(2, -1, true);
}
torch::Tensor normal(torch::IntArrayRef sizes) { return torch::randn(sizes, kDouble); }
// Log decays from hardly any to e⁻⁶ a token.
torch::Tensor decays(torch::IntArrayRef sizes) {
  return -(1.5 * torch::randn(sizes, kDouble)).exp().clamp_max(6);
}

std::vector<Subject> subjects() {
  const int64_t B = 3, N = 2, K = 5, V = 4;
  return {{"rwkv6",
           [=](int64_t T) -> Tensors {
             return {normal({B, N, T, K}), normal({B, N, T, K}), normal({B, N, T, V}), decays({B, N, T, K}),
                     normal({N, K})};
           },
           rwkv6_in_steps,
           [](const Tensors& in, const torch::Tensor& ids, const torch::Tensor& state, int64_t L) {
             const auto out = wkv6({in[0], in[1], in[2], in[3], in[4], ids, state}, L);
             return Outcome{out.o_BNTV, out.state_BNKV};
           },
           {B, N, K, V}},
          {"rwkv7",
           [=](int64_t T) -> Tensors {
             // As in the layer: a is a unit vector's negative, b that times a rate below 1.
             const auto unit = unit_vectors({B, N, T, K});
             return {normal({B, N, T, K}),
                     decays({B, N, T, K}),
                     normal({B, N, T, K}),
                     normal({B, N, T, V}),
                     -unit,
                     unit * torch::rand({B, N, T, K}, kDouble)};
           },
           rwkv7_in_steps,
           [](const Tensors& in, const torch::Tensor& ids, const torch::Tensor& state, int64_t L) {
             const auto out = wkv7({in[0], in[1], in[2], in[3], in[4], in[5], ids, state}, L);
             return Outcome{out.o_BNTV, out.state_BNKV};
           },
           {B, N, K, V}},
          {"rwkv7 of mild decays",
           [=](int64_t T) -> Tensors {
             const auto unit = unit_vectors({B, N, T, K});
             return {normal({B, N, T, K}),
                     decays({B, N, T, K}).clamp_min(-1),
                     normal({B, N, T, K}),
                     normal({B, N, T, V}),
                     -unit,
                     unit * torch::rand({B, N, T, K}, kDouble)};
           },
           rwkv7_in_steps,
           [](const Tensors& in, const torch::Tensor& ids, const torch::Tensor& state, int64_t L) {
             const auto out = wkv7({in[0], in[1], in[2], in[3], in[4], in[5], ids, state, true}, L);
             return Outcome{out.o_BNTV, out.state_BNKV};
           },
           {B, N, K, V}},
          {"mamba",
           [=](int64_t T) -> Tensors {
             return {normal({B, N, T, V}), normal({B, N, T, V}).exp(), normal({B, N, T, K}),
                     normal({B, N, T, K}), -normal({N, V, K}).exp(),   normal({N, V})};
           },
           mamba_in_steps,
           [](const Tensors& in, const torch::Tensor& ids, const torch::Tensor& state, int64_t L) {
             const auto out = selective_scan({in[0], in[1], in[4], in[2], in[3], in[5], ids, state}, L);
             return Outcome{out.y_BNTP, out.state_BNPS};
           },
           {B, N, V, K}}};
}

TEST_CASE("chunked RWKV-6, RWKV-7 and Mamba give their recurrences' outputs, states and gradients") {
  for (const auto& subject : subjects())
    for (const int64_t T : {1, 2, 63, 111})
      for (const bool documents : {false, true})
        for (const bool begun : {false, true}) {
          torch::manual_seed(static_cast<uint64_t>(T));
          const Tensors inputs = subject.inputs(T);
          const auto ids = documents ? numbers_of_documents(3, T) : torch::Tensor();
          const auto before = begun ? normal(subject.state_sizes) : torch::Tensor();
          const auto run = [&](const Form& form) {
            Tensors leaves;
            for (const auto& input : inputs) leaves.push_back(input.clone().requires_grad_());
            const auto state = begun ? before.clone().requires_grad_() : before;
            const auto found = form(leaves, ids, state);
            (found.o.cos().sum() + found.state.sin().sum()).backward();
            Tensors all{found.o, found.state};
            if (begun) leaves.push_back(state);
            for (const auto& leaf : leaves)
              all.push_back(leaf.grad().defined() ? leaf.grad() : torch::zeros_like(leaf));
            return all;
          };
          const auto expected = run(subject.naive);
          for (const int64_t L : {1, 5, 16, 200}) {
            INFO(subject.name << ", T " << T << ", L " << L << ", documents " << documents << ", begun "
                              << begun);
            const auto found = run([&](const Tensors& in, const torch::Tensor& of, const torch::Tensor& state) {
              return subject.chunked(in, of, state, L);
            });
            for (size_t i = 0; i < found.size(); ++i) {
              CAPTURE(i);
              // Sums of T terms of K products in two orders, and exponentials of sums of T decays; gradients go
              // through both once more.
              const double size = std::max(expected[i].abs().max().item<double>(),
                                           i < 2 ? 0.0 : expected[0].abs().max().item<double>());
              CHECK(close(found[i], expected[i], 2.2e-16 * static_cast<double>(40 * T + 200) * size));
            }
          }
        }
}

TEST_CASE("the strongest mild decays stay near in float32, in chunks as long as they get") {
  const auto& subjects_ = subjects();
  const auto& mild = *std::find_if(subjects_.begin(), subjects_.end(), [](const Subject& subject) {
    return subject.name == "rwkv7 of mild decays";
  });
  Tensors exact = mild.inputs(300);
  exact[1].fill_(-1);
  Tensors inputs;
  for (const auto& input : exact) inputs.push_back(input.to(torch::kFloat32));
  const auto expected = mild.naive(exact, {}, {}), found = mild.chunked(inputs, {}, {}, 64);
  // Sums of 64 decays are rounded at up to 64, and exponentials multiply by that.
  CHECK(close(found.o.to(torch::kFloat64), expected.o, 64 * 6e-8 * 8 * expected.o.abs().max().item<double>()));
}

TEST_CASE("decays that forget all within a token stay finite in float32, gradients included") {
  for (const auto& subject : subjects()) {
    if (subject.name != "rwkv6" && subject.name != "rwkv7") continue;
    INFO(subject.name);
    Tensors inputs = subject.inputs(63);
    for (auto& input : inputs) input = input.to(torch::kFloat32);
    auto& w = inputs[subject.name == "rwkv6" ? 3 : 1];
    w = torch::full_like(w, -50).requires_grad_();
    const auto found = subject.chunked(inputs, {}, {}, 16);
    found.o.sum().backward();
    CHECK(found.o.isfinite().all().item<bool>());
    CHECK(w.grad().isfinite().all().item<bool>());
  }
}

TEST_CASE("RWKV-4 forgets at a document's start and passes over padding") {
  torch::manual_seed(3);
  const int64_t C = 5;
  const auto decay = normal({C}), first = normal({C}), k = normal({2, 12, C}), v = normal({2, 12, C});
  const auto none = [&](int64_t B) { return Wkv4State::none(B, C, k.options()); };
  const auto alone = [&](int64_t b, int64_t from, int64_t T) {
    const auto part = [&](const torch::Tensor& x) { return x.narrow(0, b, 1).narrow(1, from, T); };
    return wkv4(decay, first, part(k), part(v), none(1), {}).o_BTC;
  };
  auto ids = torch::zeros({2, 12}, torch::kInt64);
  ids.slice(1, 7).fill_(1);
  const auto packed = wkv4(decay, first, k, v, none(2), {.valid_BT = {}, .ids_BT = ids}).o_BTC;
  CHECK(close(packed.narrow(0, 1, 1).narrow(1, 7, 5), alone(1, 7, 5), 1e-14));
  CHECK(close(packed.narrow(0, 0, 1).narrow(1, 0, 7), alone(0, 0, 7), 1e-14));
  const auto valid = torch::arange(12).unsqueeze(0) >= torch::tensor({0, 4}).unsqueeze(1);
  const auto padded = wkv4(decay, first, k, v, none(2), {.valid_BT = valid, .ids_BT = {}}).o_BTC;
  CHECK(close(padded.narrow(0, 1, 1).narrow(1, 4, 8), alone(1, 4, 8), 1e-14));
}

}  // namespace
}  // namespace attnlab::test
