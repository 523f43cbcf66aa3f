#include "kernels/scan.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/fused.h"
#include "kernels/scan_layout.h"
#include "kernels/side_by_side.h"

#ifdef ATTNLAB_CUDA
#include "kernels/launch.h"
#endif

namespace attnlab {

int64_t parts_for_scan(int64_t B, const torch::Tensor& A_NPS, int64_t T) {
  constexpr int64_t kBlocks = 224, kLeast = 512;  // blocks that keep a GPU busy, tokens of a part at least
  const cuda::ScanSizes whole{
      .B = B, .N = A_NPS.size(0), .parts = 1, .T = T, .length = T, .P = A_NPS.size(1), .S = A_NPS.size(2)};
  return std::max<int64_t>(1, std::min(kBlocks / whole.all_blocks(), T / kLeast));
}

#ifdef ATTNLAB_CUDA
namespace {

bool device_fits_scan(const torch::Tensor& x, int64_t S) {
  const auto& device = *at::cuda::getDeviceProperties(x.device().index());
  return cuda::fits_selective_scan(S, {.multiprocessors = device.multiProcessorCount,
                                       .capability = 10 * device.major + device.minor,
                                       .shared_bytes = static_cast<int>(device.sharedMemPerBlockOptin)});
}

}  // namespace
#endif

bool fits_scan(const ScanParts& scan) {
  const auto full = [](const torch::Tensor& x) { return !x.defined() || x.scalar_type() == torch::kFloat32; };
  const bool fits = has_kernels(scan.x_BGTP) && has_kernels(scan.B_BGTS) && has_kernels(scan.C_BNTS) &&
                    full(scan.step_BNTP) && full(scan.A_NPS) && full(scan.D_NP) && full(scan.first_BNpPS);
#ifdef ATTNLAB_CUDA
  return fits && device_fits_scan(scan.x_BGTP, scan.A_NPS.size(2));
#else
  return fits;
#endif
}

#ifdef ATTNLAB_CUDA
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = std::optional<Tensor>;

const float* values_of(const Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }
float* place_of(const Tensor& x) { return x.defined() ? x.data_ptr<float>() : nullptr; }

// The inputs in their order, and behind them what the forward pass keeps.
enum Input { kX, kStep, kA, kB, kC, kD, kBegins, kFirst, kStored };

cuda::HeadsIn heads_from(const Tensor& x) {
  return x.defined() ? cuda::HeadsIn{x.const_data_ptr(), format_of(x), strides_of(x)} : cuda::HeadsIn{};
}
cuda::HeadsOut heads_to(const Tensor& x) {
  return x.defined() ? cuda::HeadsOut{x.data_ptr(), format_of(x), strides_of(x)} : cuda::HeadsOut{};
}

cuda::ScanSizes sizes_of(const variable_list& in, int64_t parts, int64_t length) {
  const auto& begins = in[kBegins];
  return {.B = in[kStep].size(0),
          .N = in[kStep].size(1),
          .parts = parts,
          .T = in[kStep].size(2),
          .length = length,
          .P = in[kA].size(1),
          .S = in[kA].size(2),
          .heads_x = in[kX].size(1),
          .heads_B = in[kB].size(1),
          .begins_b = begins.defined() && begins.size(0) > 1 ? begins.stride(0) : 0};
}

cuda::ScanInputs inputs_of(const variable_list& in, bool raw_step) {
  return {.x = heads_from(in[kX]),
          .step = heads_from(in[kStep]),
          .raw_step = raw_step,
          .B = heads_from(in[kB]),
          .C = heads_from(in[kC]),
          .A = values_of(in[kA]),
          .D = values_of(in[kD]),
          .begins = in[kBegins].defined() ? in[kBegins].const_data_ptr<bool>() : nullptr,
          .first = values_of(in[kFirst])};
}

// [B, T, N, P] seen as [B, N, T, P].
Tensor empty_of_tokens(const cuda::ScanSizes& z, const Tensor& like) {
  return torch::empty({z.B, z.T, z.N, z.P}, like.options().dtype(torch::kFloat32)).transpose(1, 2);
}
Tensor empty_of_parts(const cuda::ScanSizes& z, torch::IntArrayRef sizes, const Tensor& like) {
  std::vector<int64_t> all{z.B, z.N, z.parts};
  all.insert(all.end(), sizes.begin(), sizes.end());
  return torch::empty(all, like.options());
}
// What was added by each of n neighbours, [B, T, G · n, x], to [B, G, T, x].
Tensor summed_to(const Tensor& x_BTMx, const Tensor& like_BGTx) {
  const int64_t G = like_BGTx.size(1), n = x_BTMx.size(2) / G;
  const auto sum_BTGx = n == 1 ? x_BTMx : x_BTMx.unflatten(2, {G, n}).sum(3);
  return sum_BTGx.to(like_BGTx.scalar_type()).transpose(1, 2);
}

class Scan : public torch::autograd::Function<Scan> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& step, const Tensor& A,
                               const Tensor& B, const Tensor& C, const MaybeTensor& D,
                               const MaybeTensor& begins, const MaybeTensor& first, bool raw_step,
                               int64_t parts, int64_t length, bool wants_y) {
    const c10::cuda::CUDAGuard guard(x.device());
    const auto given = [](const MaybeTensor& maybe) { return maybe.value_or(Tensor()); };
    variable_list in{x, step, A, B, C, given(D), given(begins), given(first)};
    const auto sizes = sizes_of(in, parts, length);
    const bool backward = std::any_of(
        in.begin(), in.end(), [](const Tensor& each) { return each.defined() && each.requires_grad(); });
    const Tensor y = wants_y ? empty_of_tokens(sizes, A) : Tensor();
    const Tensor last = empty_of_parts(sizes, {sizes.P, sizes.S}, A);
    const Tensor stored = backward ? torch::empty({sizes.stored()}, A.options()) : Tensor();
    C10_CUDA_CHECK(cuda::selective_scan(sizes, inputs_of(in, raw_step),
                                        {.y = heads_to(y), .stored = place_of(stored), .last = place_of(last)},
                                        stream_of(x)));
    in.push_back(stored);
    context->save_for_backward(in);
    context->saved_data["raw_step"] = raw_step;
    context->saved_data["parts"] = parts;
    context->saved_data["length"] = length;
    context->saved_data["wants_y"] = wants_y;
    context->set_materialize_grads(false);
    return wants_y ? variable_list{y, last} : variable_list{last};
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto in = context->get_saved_variables();
    const c10::cuda::CUDAGuard guard(in[kX].device());
    const auto z = sizes_of(in, context->saved_data["parts"].toInt(), context->saved_data["length"].toInt());
    const bool has_y = context->saved_data["wants_y"].toBool();
    const Tensor dy = has_y && upstream[0].defined() ? numbers_side_by_side(upstream[0]) : Tensor();
    const Tensor dlast = upstream.back().defined() ? upstream.back().contiguous() : Tensor();
    const auto& A = in[kA];
    const Tensor dx = empty_of_tokens(z, A), dstep = empty_of_tokens(z, A),
                 dB = torch::empty({z.B, z.T, z.N * z.blocks(), z.S}, A.options()),
                 dC = dy.defined() ? torch::empty_like(dB) : Tensor(), dA = empty_of_parts(z, {z.P, z.S}, A),
                 dD = in[kD].defined() ? empty_of_parts(z, {z.P}, A) : Tensor(),
                 dfirst = in[kFirst].defined() ? torch::empty_like(in[kFirst]) : Tensor();
    C10_CUDA_CHECK(cuda::selective_scan_backward(
        z, inputs_of(in, context->saved_data["raw_step"].toBool()),
        {.stored = values_of(in[kStored]), .dy = heads_from(dy), .dlast = values_of(dlast)},
        {.x = heads_to(dx),
         .step = heads_to(dstep),
         .B = place_of(dB),
         .C = place_of(dC),
         .A = place_of(dA),
         .D = place_of(dD),
         .first = place_of(dfirst)},
        stream_of(A)));
    const auto over_parts = [](const Tensor& d_BNpx) {
      return d_BNpx.defined() ? d_BNpx.sum(torch::IntArrayRef{0, 2}) : d_BNpx;
    };
    return {summed_to(dx.transpose(1, 2), in[kX]),
            dstep,
            over_parts(dA),
            summed_to(dB, in[kB]),
            dC.defined() ? summed_to(dC, in[kC]) : dC,
            over_parts(dD),
            {},
            dfirst,
            {},
            {},
            {},
            {}};
  }
};

}  // namespace

ScannedParts scan_parts(const ScanParts& scan) {
  const auto &x = scan.x_BGTP, &step = scan.step_BNTP, &A = scan.A_NPS, &B = scan.B_BGTS, &C = scan.C_BNTS;
  const int64_t N = step.size(1), T = step.size(2);
  TORCH_CHECK(fits_scan(scan) && A.size(0) == N && A.size(1) == step.size(3) && x.size(3) == step.size(3) &&
              C.size(1) == N && N % x.size(1) == 0 && N % B.size(1) == 0 && B.size(3) == A.size(2) &&
              C.size(3) == A.size(2) && scan.parts * scan.length >= T && (scan.parts - 1) * scan.length < T);
  for (const auto& each : {x, B, C}) TORCH_CHECK(each.size(0) == step.size(0) && each.size(2) == T);
  // Undefined tensors are not arguments of a torch function, absent ones are.
  const auto given = [](const Tensor& x) { return x.defined() ? MaybeTensor(x.contiguous()) : std::nullopt; };
  const auto out =
      Scan::apply(numbers_side_by_side(x), numbers_side_by_side(step), A.contiguous(), numbers_side_by_side(B),
                  numbers_side_by_side(C), given(scan.wants_y ? scan.D_NP : Tensor()), given(scan.begins_BT),
                  given(scan.first_BNpPS), scan.raw_step, scan.parts, scan.length, scan.wants_y);
  return {.y_BNTP = scan.wants_y ? out[0] : Tensor(), .last_BNpPS = out.back()};
}

#else

ScannedParts scan_parts(const ScanParts&) { TORCH_CHECK(false, "there are no kernels in this build"); }

#endif

}  // namespace attnlab
