// Metadata of the microscope's software: names, XML and mdoc.
#include "frazil/base/error.hpp"
#include "frazil/io/session_metadata.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto parse : {frazil::io::parse_epu_xml, frazil::io::parse_mdoc}) {
    try {
      (void)parse(text, "fuzzed");
    } catch (const frazil::Error&) {  // refused: as it should be
    }
  }
  (void)frazil::io::parse_epu_name(text);
  return 0;
}
