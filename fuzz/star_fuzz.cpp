// Tables, optics groups and writing of a STAR file: what was read must be written so that it reads back the same.
#include "frazil/io/star.hpp"
#include "frazil/io/star_optics.hpp"
#include "harness.hpp"

namespace {

void check_round_trip(const frazil::io::StarFile& file) {
  std::string text;
  try {
    text = frazil::io::format_star(file);
  } catch (const frazil::Error&) {
    return;  // a value that no quotes can hold
  }
  if (frazil::io::format_star(frazil::io::parse_star(text, "fuzzed")) != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return frazil::fuzz::run(data, size, [](const frazil::io::ByteSource& source) {
    const auto file = frazil::io::read_star(source);
    check_round_trip(file);
    for (const auto& table : file.tables) (void)frazil::io::read_optics(file, table);
  });
}
