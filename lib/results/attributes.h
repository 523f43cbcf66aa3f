// HDF5 attributes of the types that config fields have.
#pragma once

#include <string>

#include "core/fields.h"
#include "results/hdf5.h"

namespace attnlab {

// bool: h5py's boolean enum; int64, float64; variable-length UTF-8 (of any size, up to the first NUL); vectors:
// one-dimensional. Throws hdf5::Error.
void write_attribute(hid_t object, const std::string& name, const FieldValue& value);
FieldValue read_attribute(hid_t object, const std::string& name);
bool has_attribute(hid_t object, const std::string& name);
// All attributes of an object in the order of their creation.
FlatFields read_attributes(hid_t object);

}  // namespace attnlab
