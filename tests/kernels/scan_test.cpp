// The kernel of Mamba's recurrence, on the CPU and on a GPU, against the recurrence token by token in double
// precision.
#include "kernels/scan.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "../reference/scan_twin.h"
#include "attention/selective_scan.h"
#include "catch.h"
#include "kernel_tensors.h"
#include "on_cpu/kernels_on_cpu.h"

namespace attnlab::test {
namespace {

using torch::Tensor;
using Tensors = std::vector<Tensor>;

constexpr int64_t kBatch = 2, kHeads = 2;

struct ScanLengths {
  int64_t T, parts, P, S;
};
struct ScanCase {
  ScanLengths sizes;
  // begun: from states, to states that count; half: x, B and C in bfloat16, Δ in front of its softplus; shared:
  // x and B of one head
  bool documents, begun, half, shared;

  int64_t length() const { return (sizes.T + sizes.parts - 1) / sizes.parts; }
  std::string text() const {
    return "T " + std::to_string(sizes.T) + ", parts " + std::to_string(sizes.parts) + ", P " +
           std::to_string(sizes.P) + ", S " + std::to_string(sizes.S) + (documents ? ", documents" : "") +
           (begun ? ", begun" : "") + (half ? ", bfloat16" : "") + (shared ? ", shared" : "");
  }
};

// As projections leave them: heads of a token side by side.
Tensor heads_of_tokens(int64_t heads, int64_t T, int64_t width) {
  return torch::randn({kBatch, T, heads, width}, torch::kFloat64).transpose(1, 2);
}
// Numbers that bfloat16 has.
Tensor halved(const Tensor& x) { return x.to(torch::kBFloat16).to(torch::kFloat64); }

struct ScanProblem {
  ScanParts scan;
  Tensor dy_BNTP, dlast_BNpPS;
};

ScanProblem random_problem(const ScanCase& of) {
  const auto& [T, parts, P, S] = of.sizes;
  const auto normal = [](torch::IntArrayRef sizes) { return torch::randn(sizes, torch::kFloat64); };
  const auto heads = [&](int64_t n, int64_t width) {
    const auto x = heads_of_tokens(n, T, width);
    return of.half ? halved(x) : x;
  };
  ScanProblem out;
  auto& scan = out.scan;
  scan.parts = parts;
  scan.length = of.length();
  scan.x_BGTP = heads(of.shared ? 1 : kHeads, P);
  // Steps as a trained layer has them: decays from hardly any to e^-8 a token.
  scan.raw_step = of.half;
  scan.step_BNTP = heads_of_tokens(kHeads, T, P) - 2;
  if (!scan.raw_step) scan.step_BNTP = scan.step_BNTP.exp();
  scan.A_NPS = -normal({kHeads, P, S}).exp();
  scan.B_BGTS = heads(of.shared ? 1 : kHeads, S);
  scan.C_BNTS = heads(kHeads, S);
  if (of.begun != of.documents) scan.D_NP = normal({kHeads, P});
  if (of.documents) {
    scan.begins_BT = torch::zeros({of.shared ? 1 : kBatch, T}, torch::kBool);
    for (const int64_t t : {int64_t{0}, T / 2, (T / 2 + 1) % T}) scan.begins_BT[-1][t] = true;
  }
  if (of.begun) {
    scan.first_BNpPS = normal({kBatch, kHeads, parts, P, S});
    out.dlast_BNpPS = normal({kBatch, kHeads, parts, P, S});
  }
  out.dy_BNTP = heads_of_tokens(kHeads, T, P);
  return out;
}

Named inputs_of(const ScanParts& scan) {
  Named all{
      {"x", scan.x_BGTP}, {"step", scan.step_BNTP}, {"A", scan.A_NPS}, {"B", scan.B_BGTS}, {"C", scan.C_BNTS}};
  if (scan.D_NP.defined()) all.emplace_back("D", scan.D_NP);
  if (scan.first_BNpPS.defined()) all.emplace_back("first", scan.first_BNpPS);
  return all;
}

// All inputs as leaves, x, B and C in bfloat16 where half.
ScanParts leaves_of(ScanParts scan, torch::Device device, torch::ScalarType type, bool half) {
  const auto leaf = [&](Tensor& x, torch::ScalarType to) {
    if (x.defined()) x = x.detach().to(device, to).requires_grad_();
  };
  for (auto* x : {&scan.step_BNTP, &scan.A_NPS, &scan.D_NP, &scan.first_BNpPS}) leaf(*x, type);
  for (auto* x : {&scan.x_BGTP, &scan.B_BGTS, &scan.C_BNTS}) leaf(*x, half ? torch::kBFloat16 : type);
  if (scan.begins_BT.defined()) scan.begins_BT = scan.begins_BT.to(device);
  return scan;
}

// y, the last states, and the gradients of Σ y dy + Σ last dlast.
Named by_autograd(const ScanProblem& problem, const ScanParts& scan,
                  ScannedParts (*recurrence)(const ScanParts&)) {
  const auto out = recurrence(scan);
  auto loss = (out.y_BNTP * problem.dy_BNTP.to(out.y_BNTP.options())).sum();
  if (problem.dlast_BNpPS.defined())
    loss = loss + (out.last_BNpPS * problem.dlast_BNpPS.to(out.last_BNpPS.options())).sum();
  loss.backward();
  Named all{{"y", out.y_BNTP.detach()}, {"last", out.last_BNpPS.detach()}};
  for (const auto& [name, x] : inputs_of(scan)) all.emplace_back(name, x.grad());
  return all;
}

cuda::ScanSizes sizes_of(const ScanParts& scan) {
  const auto& begins = scan.begins_BT;
  return {.B = kBatch,
          .N = kHeads,
          .parts = scan.parts,
          .T = scan.step_BNTP.size(2),
          .length = scan.length,
          .P = scan.A_NPS.size(1),
          .S = scan.A_NPS.size(2),
          .heads_x = scan.x_BGTP.size(1),
          .heads_B = scan.B_BGTS.size(1),
          .begins_b = begins.defined() && begins.size(0) > 1 ? begins.stride(0) : 0};
}
cuda::ScanInputs inputs_for_kernel(const ScanParts& scan) {
  return {.x = read_heads(scan.x_BGTP),
          .step = read_heads(scan.step_BNTP),
          .raw_step = scan.raw_step,
          .B = read_heads(scan.B_BGTS),
          .C = read_heads(scan.C_BNTS),
          .A = floats(scan.A_NPS),
          .D = floats(scan.D_NP),
          .begins = scan.begins_BT.defined() ? scan.begins_BT.data_ptr<bool>() : nullptr,
          .first = floats(scan.first_BNpPS)};
}

// The same by the kernel on the CPU.
Named by_emulation(const ScanProblem& problem, const ScanParts& scan) {
  const torch::NoGradGuard no_grad;
  const auto z = sizes_of(scan);
  const auto in = inputs_for_kernel(scan);
  const auto empty = [](torch::IntArrayRef sizes) { return torch::full(sizes, NAN, torch::kFloat32); };
  const auto of_tokens = [&] { return empty({kBatch, z.T, kHeads, z.P}).transpose(1, 2); };
  const Tensor y = of_tokens(), stored = empty({z.stored()}), last = empty({kBatch, kHeads, z.parts, z.P, z.S});
  selective_scan_on_cpu(z, in, {.y = write_heads(y), .stored = floats(stored), .last = floats(last)});
  const auto dy = problem.dy_BNTP.to(torch::kFloat32),
             dlast = problem.dlast_BNpPS.defined() ? problem.dlast_BNpPS.to(torch::kFloat32) : Tensor();
  const Tensor dx = of_tokens(), dstep = of_tokens(), dB = empty({kBatch, z.T, kHeads, z.blocks(), z.S}),
               dC = torch::full_like(dB, NAN), dA = torch::full_like(last, NAN),
               dD = empty({kBatch, kHeads, z.parts, z.P}), dfirst = torch::full_like(last, NAN);
  selective_scan_backward_on_cpu(z, in,
                                 {.stored = floats(stored), .dy = read_heads(dy), .dlast = floats(dlast)},
                                 {.x = write_heads(dx),
                                  .step = write_heads(dstep),
                                  .B = floats(dB),
                                  .C = floats(dC),
                                  .A = floats(dA),
                                  .D = floats(dD),
                                  .first = floats(dfirst)});
  // Of the heads that are one in the input.
  const auto summed = [](const Tensor& x_BNTx, int64_t heads) {
    return x_BNTx.unflatten(1, {heads, kHeads / heads}).sum(2);
  };
  const auto of_blocks = [](const Tensor& x_BTNbS) { return x_BTNbS.sum(3).transpose(1, 2); };
  Named all{{"y", y},
            {"last", last},
            {"x", summed(dx, z.heads_x)},
            {"step", dstep},
            {"A", dA.sum(torch::IntArrayRef{0, 2})},
            {"B", summed(of_blocks(dB), z.heads_B)},
            {"C", of_blocks(dC)}};
  if (scan.D_NP.defined()) all.emplace_back("D", dD.sum(torch::IntArrayRef{0, 2}));
  if (scan.first_BNpPS.defined()) all.emplace_back("first", dfirst);
  return all;
}

// Without y and what depends on it: the last states, and the gradients of Σ last dlast.
Named states_by_emulation(const ScanProblem& problem, const ScanParts& scan) {
  const torch::NoGradGuard no_grad;
  const auto z = sizes_of(scan);
  const auto in = inputs_for_kernel(scan);
  const auto empty = [](torch::IntArrayRef sizes) { return torch::full(sizes, NAN, torch::kFloat32); };
  const Tensor stored = empty({z.stored()}), last = empty({kBatch, kHeads, z.parts, z.P, z.S});
  selective_scan_on_cpu(z, in, {.y = {}, .stored = floats(stored), .last = floats(last)});
  const auto dlast = problem.dlast_BNpPS.to(torch::kFloat32);
  const Tensor dx = empty({kBatch, kHeads, z.T, z.P}), dstep = torch::full_like(dx, NAN),
               dB = empty({kBatch, z.T, kHeads, z.blocks(), z.S}), dA = torch::full_like(last, NAN);
  selective_scan_backward_on_cpu(z, in, {.stored = floats(stored), .dy = {}, .dlast = floats(dlast)},
                                 {.x = write_heads(dx),
                                  .step = write_heads(dstep),
                                  .B = floats(dB),
                                  .C = nullptr,
                                  .A = floats(dA),
                                  .D = nullptr,
                                  .first = nullptr});
  return {{"last", last},
          {"x", dx},
          {"step", dstep},
          {"A", dA.sum(torch::IntArrayRef{0, 2})},
          {"B", dB.sum(3).transpose(1, 2)}};
}

// A GPU's 2^x errs by up to 2^-22 of it, and so a product of k decays by k · 2^-22; a number is one of T / 2 on
// average, if it fades that slowly.
double of_exponentials(int64_t T) { return 0x1p-23 * static_cast<double>(T); }

void check_against(const Named& expected, const Named& found, const std::string& text, double of_decays) {
  REQUIRE(expected.size() == found.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto& [name, x] = expected[i];
    REQUIRE(std::string(name) == found[i].first);
    const bool rounded = found[i].second.scalar_type() == torch::kBFloat16;
    // Products of up to T decays, each rounded; gradients are sums over tokens, those of A over rows, too. What
    // is kept in bfloat16 has 8 bits.
    const double size = std::max(x.abs().max().item<double>(), i < 2 ? 0.0 : 1.0);
    const double worst = (found[i].second.to(torch::kCPU, torch::kFloat64) - x).abs().max().item<double>();
    INFO(text << ": " << name << ": worst " << worst << " of " << size);
    CHECK(worst <= (rounded ? 0x1p-8 : 2e-5 + of_decays) * size);
  }
}

void check_case(const ScanCase& of, double of_decays, const std::function<Named(const ScanProblem&)>& kernels) {
  const ScanProblem problem = random_problem(of);
  const auto twin = leaves_of(problem.scan, torch::kCPU, torch::kFloat64, false);
  check_against(by_autograd(problem, twin, scan_twin), kernels(problem), of.text(), of_decays);
}

// Each in four ways.
std::vector<ScanCase> scan_cases(const std::vector<ScanLengths>& sizes) {
  std::vector<ScanCase> all;
  for (const auto& of : sizes)
    for (const bool documents : {false, true})
      for (const bool begun : {false, true}) all.push_back({of, documents, begun, begun == documents, begun});
  return all;
}

TEST_CASE("the source of the kernel of Mamba, run on the CPU, gives outputs, states and gradients") {
  torch::manual_seed(5);
  // Numbers of a state in 4 to 32 threads, with and without places to spare; channels of one block, of part of
  // one and of several; tokens of part of a stage, of one, of several, and parts that end within one.
  for (const auto& of : scan_cases({{1, 1, 4, 1},
                                    {16, 1, 3, 16},
                                    {37, 3, 130, 5},
                                    {18, 1, 70, 31},
                                    {35, 2, 64, 64},
                                    {17, 1, 17, 100},
                                    {19, 2, 9, 256}}))
    check_case(of, 0, [&](const ScanProblem& problem) {
      return by_emulation(problem, leaves_of(problem.scan, torch::kCPU, torch::kFloat32, of.half));
    });
}

TEST_CASE("the source of Mamba's kernel without outputs, run on the CPU, gives states and their gradients") {
  torch::manual_seed(6);
  const ScanCase of{{37, 2, 33, 64}, true, true, false, false};
  const ScanProblem problem = random_problem(of);
  const auto twin = leaves_of(problem.scan, torch::kCPU, torch::kFloat64, false);
  const auto last = scan_twin(twin).last_BNpPS;
  (last * problem.dlast_BNpPS).sum().backward();
  check_against({{"last", last.detach()},
                 {"x", twin.x_BGTP.grad()},
                 {"step", twin.step_BNTP.grad()},
                 {"A", twin.A_NPS.grad()},
                 {"B", twin.B_BGTS.grad()}},
                states_by_emulation(problem, leaves_of(problem.scan, torch::kCPU, torch::kFloat32, false)),
                of.text(), 0);
}

TEST_CASE("the kernel of Mamba's recurrence gives outputs, states and gradients on a GPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(7);
  for (const auto& of : scan_cases({{1, 1, 4, 1},
                                    {15, 1, 3, 16},
                                    {37, 3, 130, 5},
                                    {63, 1, 70, 31},
                                    {111, 4, 64, 64},
                                    {96, 1, 17, 100},
                                    {97, 2, 9, 200},
                                    {33, 1, 5, 256},
                                    {513, 1, 64, 64}}))
    check_case(of, of_exponentials(of.sizes.T), [&](const ScanProblem& problem) {
      const auto scan = leaves_of(problem.scan, torch::kCUDA, torch::kFloat32, of.half);
      REQUIRE(fits_scan(scan));
      return by_autograd(problem, scan, scan_parts);
    });
}

// x, step, A, B, C, D, state.
Tensors inputs_of_layer(int64_t T, int64_t P, int64_t S) {
  const auto normal = [](torch::IntArrayRef sizes) { return torch::randn(sizes, torch::kFloat64); };
  return {normal({kBatch, 1, T, P}),      (normal({kBatch, kHeads, T, P}) - 2).exp(),
          -normal({kHeads, P, S}).exp(),  normal({kBatch, 1, T, S}),
          normal({kBatch, kHeads, T, S}), normal({kHeads, P}),
          normal({kBatch, kHeads, P, S})};
}

// y, the last state, and the gradients of all inputs, on the CPU.
Tensors scan_outcome(const Tensors& inputs, const Tensor& ids_BT, bool begun) {
  Tensors leaves;
  for (const auto& input : inputs) leaves.push_back(input.detach().clone().requires_grad_());
  const auto& in = leaves;
  const auto out = selective_scan({.x_BGTP = in[0],
                                   .step_BNTP = in[1],
                                   .A_NPS = in[2],
                                   .B_BGTS = in[3],
                                   .C_BNTS = in[4],
                                   .D_NP = in[5],
                                   .ids_BT = ids_BT,
                                   .state_BNPS = begun ? in[6] : Tensor(),
                                   .raw_step = begun});
  (out.y_BNTP.cos().sum() + out.state_BNPS.sin().sum()).backward();
  Tensors all{out.y_BNTP.detach(), out.state_BNPS.detach()};
  for (size_t i = 0; i < leaves.size() - (begun ? 0 : 1); ++i) all.push_back(leaves[i].grad());
  for (auto& each : all) each = each.to(torch::kCPU, torch::kFloat64);
  return all;
}

TEST_CASE("Mamba's recurrence over a long sequence on a GPU, in parts, is that of the CPU") {
  if (!torch::cuda::is_available()) SKIP_TEST("no GPU");
  torch::manual_seed(8);
  for (const auto& [T, P, S] : {std::tuple{int64_t{1301}, int64_t{8}, int64_t{16}}, {1537, 5, 40}})
    for (const bool documents : {false, true})
      for (const bool begun : {false, true}) {
        const Tensors inputs = inputs_of_layer(T, P, S);
        Tensor ids, ids_there;
        if (documents) {
          auto starts = torch::zeros({kBatch, T}, torch::kInt64);
          for (const int64_t t : {int64_t{0}, T / 2, T / 2 + 1}) starts[1][t] = 1;
          ids = starts.cumsum(1), ids_there = ids.to(torch::kCUDA);
        }
        Tensors on_gpu;
        for (const auto& input : inputs) on_gpu.push_back(input.to(torch::kCUDA, torch::kFloat32));
        const Tensors expected = scan_outcome(inputs, ids, begun);
        const Tensors found = scan_outcome(on_gpu, ids_there, begun);
        for (size_t i = 0; i < expected.size(); ++i) {
          const double size = std::max(expected[i].abs().max().item<double>(), i < 2 ? 0.0 : 1.0);
          const double worst = (found[i] - expected[i]).abs().max().item<double>();
          INFO("T " << T << ", P " << P << ", S " << S << ", documents " << documents << ", begun " << begun
                    << ", tensor " << i << ": worst " << worst << " of " << size);
          CHECK(worst <= (2e-5 + of_exponentials(T)) * size);
        }
      }
}

}  // namespace
}  // namespace attnlab::test
