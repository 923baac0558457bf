// The HTML page that the report fills with data (page.html, compiled in).
#pragma once

#include <string_view>

namespace frazil::report {

[[nodiscard]] std::string_view page_template();

}  // namespace frazil::report
