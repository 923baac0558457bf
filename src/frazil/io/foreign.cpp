#include "frazil/io/foreign.hpp"

#include <array>
#include <cstring>

namespace frazil::io {

std::string_view foreign_format(std::span<const std::byte> head) {
  using namespace std::literals;
  struct Magic {
    std::string_view bytes, name;
  };
  static constexpr std::array<Magic, 8> known{{{"\x89HDF"sv, "HDF5"sv},
                                               {"\x89PNG"sv, "PNG"sv},
                                               {"\xff\xd8\xff"sv, "JPEG"sv},
                                               {"\x93NUMPY"sv, "NumPy"sv},
                                               {"\x1f\x8b"sv, "gzip"sv},
                                               {"BZh"sv, "bzip2"sv},
                                               {"\x28\xb5\x2f\xfd"sv, "Zstandard"sv},
                                               {"\xfd"
                                                "7zXZ"sv,
                                                "xz"sv}}};
  for (const auto& magic : known)
    if (head.size() >= 32 && std::memcmp(head.data(), magic.bytes.data(), magic.bytes.size()) == 0) return magic.name;
  return {};
}

}  // namespace frazil::io
