#include "frazil/report/page.hpp"

// Assembled by the assembler: a string literal of this size is beyond what compilers must take.
__asm__(
    ".section .rodata\n"
    ".global frazil_report_page\n"
    "frazil_report_page:\n"
    ".incbin \"" FRAZIL_PAGE
    "\"\n"
    ".global frazil_report_page_end\n"
    "frazil_report_page_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" const char frazil_report_page[];
extern "C" const char frazil_report_page_end[];

namespace frazil::report {

std::string_view page_template() {
  return {frazil_report_page, static_cast<std::size_t>(frazil_report_page_end - frazil_report_page)};
}

}  // namespace frazil::report
