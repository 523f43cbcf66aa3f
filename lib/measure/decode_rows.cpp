#include "measure/decode_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "core/find_field.h"

namespace attnlab {
namespace {

std::string command_in(const FlatFields& facts) {
  const auto* command = find_field<std::string>(facts, "command");
  return command ? *command : "";
}

auto key_of(const DecodeRow& row) {
  return std::tie(row.form, row.shape, row.dtype, row.device, row.context, row.batch);
}

}  // namespace

std::string decode_table_head() {
  return "| form | shape | context | batch | ms/step | min | max | tokens/s | GB/step | floor ms | of floor | "
         "peak GB |\n"
         "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";
}

std::string decode_table_row(const DecodeRow& row, const std::string& why) {
  const auto head = fmt::format("| {} | {} | {} | {} |", row.form, row.shape, row.context, row.batch);
  const auto floor = fmt::format(" {:.3f} | {:.3f} |", row.gigabytes, row.floor_ms);
  if (row.fits == 0) return head + fmt::format(" {} | | | |{} | |\n", why, floor);
  const double tokens = 1000 * static_cast<double>(row.batch) / row.ms;
  return head + fmt::format(" {:.3f} | {:.3f} | {:.3f} | {:.1f} |", row.ms, row.ms_min, row.ms_max, tokens) +
         floor + fmt::format(" {:.1f} % | {:.2f} |\n", 100 * row.floor_ms / row.ms, row.peak_gigabytes);
}

DecodeFile::DecodeFile(std::string path, FlatFields facts) : path_(std::move(path)) {
  if (path_.empty()) return;
  if (std::filesystem::exists(path_)) measured_ = read_measurements(path_);
  const std::string earlier = command_in(measured_.provenance);
  for (auto& [key, value] : facts)
    if (key == "command" && !earlier.empty()) {
      std::string both = earlier;
      both += "\n" + std::get<std::string>(value);
      value = both;
    }
  measured_.provenance = std::move(facts);
}

void DecodeFile::add(const DecodeRow& row) {
  if (path_.empty()) return;
  auto& rows = measured_.decode_steps;
  const auto same =
      std::find_if(rows.begin(), rows.end(), [&](const DecodeRow& r) { return key_of(r) == key_of(row); });
  if (same == rows.end())
    rows.push_back(row);
  else
    *same = row;
  write_measurements(path_, measured_);
}

}  // namespace attnlab
