#include "kernels/latent_block.cuh"

// latent_query over codes, which are decoded behind their copy: of device memory the codes alone are read.
namespace attnlab::cuda {
namespace {

bool fits_part(const TokenBytes& part) {
  const auto sum = reinterpret_cast<uint64_t>(part.at) | static_cast<uint64_t>(part.b | part.t | part.bytes);
  return part.step >= 4 && part.step <= 16 && sum % static_cast<uint64_t>(part.step) == 0;
}

}  // namespace

bool fits_latent_coded(const LatentQueryLayout& l, const CodedTokens& c, const CudaDevice& device) {
  const int scale_bytes = c.code == LatentCode::fp8 ? 4 : 2;
  return c.group > 0 && c.group % kUnit == 0 && l.R % c.group == 0 && c.codes.bytes == l.R &&
         c.scales.bytes == l.R / c.group * scale_bytes && c.rest.bytes == 2 * (l.W - l.R) &&
         fits_part(c.codes) && fits_part(c.scales) && fits_part(c.rest) &&
         has_memory(l, CodedTiles<LatentCode::fp8>{c}, device);
}

cudaError_t latent_query_coded(const LatentQueryLayout& l, const LatentPointers& in, const LatentOut& out,
                               const CudaDevice& device, cudaStream_t stream) {
  if (in.pages) return cudaErrorInvalidValue;
  if (in.coded.code == LatentCode::fp8)
    return launch_portable(l, CodedTiles<LatentCode::fp8>{in.coded}, device, in, out, stream);
  return launch_portable(l, CodedTiles<LatentCode::int8>{in.coded}, device, in, out, stream);
}

}  // namespace attnlab::cuda
