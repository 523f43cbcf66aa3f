#include "measure/decode_rows.h"

#include <fmt/format.h>

namespace attnlab {

std::string batch_cell(int64_t batch, bool found, double memory_limit) {
  const std::string memory = memory_limit > 0 ? fmt::format(" in {:.4g} GiB", memory_limit) : "";
  if (found) return fmt::format("{} (largest{})", batch, memory);
  return memory.empty() ? fmt::format("{}", batch) : fmt::format("{} ({})", batch, memory.substr(1));
}

std::string decode_table_head() {
  return "| form | shape | context | batch | ms/step | min | max | tokens/s | GB/step | floor ms | of floor | "
         "peak GB |\n"
         "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
}

std::string decode_table_row(const DecodeRow& row, const std::string& why) {
  const auto head = fmt::format("| {} | {} | {} | {} |", row.form, row.shape, row.context,
                                batch_cell(row.batch, row.found == 1, row.memory_limit));
  const auto floor = fmt::format(" {:.3f} | {:.3f} |", row.gigabytes, row.floor_ms);
  if (row.fits == 0) return head + fmt::format(" {} | | | |{} | |\n", why, floor);
  const double tokens = 1000 * static_cast<double>(row.batch) / row.ms;
  return head + fmt::format(" {:.3f} | {:.3f} | {:.3f} | {:.1f} |", row.ms, row.ms_min, row.ms_max, tokens) +
         floor + fmt::format(" {:.1f} % | {:.2f} |\n", 100 * row.floor_ms / row.ms, row.peak_gigabytes);
}

std::string row_key(const DecodeRow& row) {
  return fmt::format("{}|{}|{}|{}|{}|{}|{}", row.form, row.shape, row.dtype, row.device, row.context,
                     row.memory_limit, row.found == 1 ? "largest" : fmt::format("{}", row.batch));
}

}  // namespace attnlab
