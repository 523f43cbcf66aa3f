#include "measure/conversion_file.h"

#include <filesystem>

#include "core/find_field.h"

namespace attnlab {

ConversionFile::ConversionFile(std::string path, FlatFields facts, std::string asked)
    : path_(std::move(path)), asked_(std::move(asked)), facts_(std::move(facts)) {
  if (!std::filesystem::exists(path_)) return;
  Measurements found = read_measurements(path_);
  const auto* asked_before = find_field<std::string>(found.provenance, "asked");
  const auto *done = find_field<int64_t>(found.provenance, "conversions_done"),
             *freqfold = find_field<int64_t>(found.provenance, "freqfold");
  if (!asked_before || *asked_before != asked_ || !done || !freqfold) return;
  measured_ = std::move(found);
  done_ = *done;
  freqfold_ = *freqfold;
}

void ConversionFile::begin(int64_t freqfold, std::vector<NormRow> norms, std::vector<GramRow> grams) {
  freqfold_ = freqfold;
  done_ = 0;
  measured_ = {.norms = std::move(norms), .grams = std::move(grams)};
  write();
}

void ConversionFile::add(std::vector<ConversionRow> rows) {
  for (ConversionRow& row : rows) measured_.conversions.push_back(std::move(row));
  ++done_;
  write();
}

void ConversionFile::write() {
  measured_.provenance = facts_;
  measured_.provenance.emplace_back("asked", asked_);
  measured_.provenance.emplace_back("conversions_done", done_);
  measured_.provenance.emplace_back("freqfold", freqfold_);
  write_measurements(path_, measured_);
}

}  // namespace attnlab
