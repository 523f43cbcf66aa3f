#include "measure/serve_rows.h"

#include <fmt/format.h>

#include "measure/decode_rows.h"

namespace attnlab {

std::string serve_table_head() {
  return "| form | shape | context | requests | batch | ms | tokens/s | prefill | peak GB |\n"
         "|---|---|---:|---:|---:|---:|---:|---:|---:|\n";
}

std::string serve_table_row(const ServeRow& row, const std::string& why) {
  const auto head = fmt::format("| {} | {} | {} | {} | {} |", row.form, row.shape, row.context, row.requests,
                                batch_cell(row.batch, row.found == 1, row.memory_limit));
  if (row.fits == 0) return head + fmt::format(" {} | | | |\n", why);
  return head + fmt::format(" {:.0f} | {:.1f} | {:.1f} % | {:.2f} |\n", 1000 * row.seconds,
                            row.tokens_per_second, 100 * row.prefill_share, row.peak_gigabytes);
}

std::string row_key(const ServeRow& row) {
  return fmt::format("{}|{}|{}|{}|{}|{}|{}|{}", row.form, row.shape, row.dtype, row.device, row.context,
                     row.requests, row.memory_limit, row.found == 1 ? "largest" : fmt::format("{}", row.batch));
}

}  // namespace attnlab
