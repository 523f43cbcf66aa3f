#include "results/attributes.h"

namespace attnlab {
namespace {
using hdf5::check;
using hdf5::Handle;

// The boolean type that h5py reads as numpy.bool.
Handle bool_type() {
  Handle type(H5Tenum_create(H5T_NATIVE_INT8), H5Tclose, "cannot make a boolean type");
  const int8_t no = 0, yes = 1;
  check(H5Tenum_insert(type, "FALSE", &no), "cannot make a boolean type");
  check(H5Tenum_insert(type, "TRUE", &yes), "cannot make a boolean type");
  return type;
}

// Variable-length UTF-8, which h5py reads as str. SWMR forbids that type only in what is written while readers
// look; attributes are complete before.
Handle text_type() { return hdf5::text_type(H5T_VARIABLE); }

void put(hid_t object, const std::string& name, hid_t type, hid_t space, const void* data) {
  const Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                         "cannot make an attribute");
  if (H5Sget_simple_extent_npoints(space) > 0)  // HDF5 refuses the null data of an empty vector
    check(H5Awrite(attribute, type, data), "cannot write an attribute");
}

Handle scalar_space() { return Handle(H5Screate(H5S_SCALAR), H5Sclose, "cannot make an attribute"); }
Handle vector_space(size_t count) {
  const hsize_t size = count;
  return Handle(H5Screate_simple(1, &size, nullptr), H5Sclose, "cannot make an attribute");
}

struct Writer {
  hid_t object;
  const std::string& name;

  void operator()(bool value) const {
    const int8_t byte = value;
    put(object, name, bool_type(), scalar_space(), &byte);
  }
  void operator()(int64_t value) const { put(object, name, H5T_NATIVE_INT64, scalar_space(), &value); }
  void operator()(double value) const { put(object, name, H5T_NATIVE_DOUBLE, scalar_space(), &value); }
  void operator()(const std::string& text) const {
    const char* pointer = text.c_str();
    put(object, name, text_type(), scalar_space(), &pointer);
  }
  void operator()(const std::vector<int64_t>& values) const {
    put(object, name, H5T_NATIVE_INT64, vector_space(values.size()), values.data());
  }
  void operator()(const std::vector<double>& values) const {
    put(object, name, H5T_NATIVE_DOUBLE, vector_space(values.size()), values.data());
  }
  void operator()(const std::vector<std::string>& values) const {
    std::vector<const char*> pointers;
    for (const auto& value : values) pointers.push_back(value.c_str());
    put(object, name, text_type(), vector_space(values.size()), pointers.data());
  }
};

template <class T>
FieldValue read_numbers(hid_t attribute, hid_t type, size_t count, bool scalar) {
  std::vector<T> values(count);
  if (count > 0) check(H5Aread(attribute, type, values.data()), "cannot read an attribute");
  if (scalar) return values.at(0);
  return values;
}

std::vector<std::string> read_variable_texts(hid_t attribute, size_t count) {
  std::vector<char*> pointers(count, nullptr);
  if (count > 0) check(H5Aread(attribute, text_type(), pointers.data()), "cannot read an attribute");
  std::vector<std::string> values;
  for (char* pointer : pointers) {
    values.emplace_back(pointer ? pointer : "");
    H5free_memory(pointer);
  }
  return values;
}

std::vector<std::string> read_fixed_texts(hid_t attribute, hid_t type, size_t count) {
  const size_t width = H5Tget_size(type);
  std::string packed(width * count, '\0');
  if (count > 0) check(H5Aread(attribute, type, packed.data()), "cannot read an attribute");
  std::vector<std::string> values;
  for (size_t i = 0; i < count; ++i) {
    values.push_back(packed.substr(i * width, width));
    values.back().erase(values.back().find_last_not_of('\0') + 1);
  }
  return values;
}

FieldValue read_texts(hid_t attribute, hid_t type, size_t count, bool scalar) {
  const bool variable = check(H5Tis_variable_str(type), "cannot read an attribute") > 0;
  auto values = variable ? read_variable_texts(attribute, count) : read_fixed_texts(attribute, type, count);
  if (scalar) return values.at(0);
  return values;
}

herr_t collect_name(hid_t, const char* name, const H5A_info_t*, void* out) {
  static_cast<std::vector<std::string>*>(out)->emplace_back(name);
  return 0;
}

}  // namespace

void write_attribute(hid_t object, const std::string& name, const FieldValue& value) {
  std::visit(Writer{object, name}, value);
}

FieldValue read_attribute(hid_t object, const std::string& name) {
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "cannot read an attribute");
  const Handle type(H5Aget_type(attribute), H5Tclose, "cannot read an attribute");
  const Handle space(H5Aget_space(attribute), H5Sclose, "cannot read an attribute");
  const bool scalar = H5Sget_simple_extent_type(space) == H5S_SCALAR;
  const auto count =
      static_cast<size_t>(check(H5Sget_simple_extent_npoints(space), "cannot read an attribute"));
  switch (H5Tget_class(type)) {
    case H5T_ENUM: {
      int8_t byte = 0;
      check(H5Aread(attribute, bool_type(), &byte), "cannot read an attribute");
      return byte != 0;
    }
    case H5T_INTEGER:
      return read_numbers<int64_t>(attribute, H5T_NATIVE_INT64, count, scalar);
    case H5T_FLOAT:
      return read_numbers<double>(attribute, H5T_NATIVE_DOUBLE, count, scalar);
    case H5T_STRING:
      return read_texts(attribute, type, count, scalar);
    default:
      throw hdf5::Error("cannot read attribute " + name + ": a type that run files do not use");
  }
}

bool has_attribute(hid_t object, const std::string& name) {
  return check(H5Aexists(object, name.c_str()), "cannot look for an attribute") > 0;
}

FlatFields read_attributes(hid_t object) {
  std::vector<std::string> names;
  check(H5Aiterate2(object, H5_INDEX_CRT_ORDER, H5_ITER_INC, nullptr, collect_name, &names),
        "cannot list attributes");
  FlatFields fields;
  for (const auto& name : names) fields.emplace_back(name, read_attribute(object, name));
  return fields;
}

}  // namespace attnlab
