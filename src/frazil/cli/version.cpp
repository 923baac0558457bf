#include "frazil/cli/version.hpp"

#include <fmt/format.h>
#include <libdeflate.h>
#include <png.h>
#include <sqlite3.h>
#include <tiffvers.h>
#include <zlib.h>
#include <nlohmann/json.hpp>

#include "frazil/algo/device/device.hpp"
#include "frazil/algo/motion/isa.hpp"
#include "frazil/base/error.hpp"

namespace frazil::cli {

std::string version() { return fmt::format("{} ({})", FRAZIL_VERSION, FRAZIL_COMMIT); }

std::string version_text() {
  std::string devices;
  for (const auto& one : device::devices())
    devices += fmt::format("{}{} ({})", devices.empty() ? "" : ", ", one.name, one.help);
  return fmt::format(
      "frazil {}\ncompiler {} {}\nCPU target x86-64-v3 (AVX2, FMA), kernels {}\ndevices {}\nSQLite {}, libtiff {}, "
      "libpng {}, zlib "
      "{}, libdeflate {}, fmt {}, nlohmann-json {}.{}.{}, pocketfft\n",
      version(), FRAZIL_COMPILER, __VERSION__, motion::isa(), devices, sqlite3_libversion(), TIFFLIB_VERSION,
      PNG_LIBPNG_VER_STRING, zlibVersion(), LIBDEFLATE_VERSION_STRING, FMT_VERSION, NLOHMANN_JSON_VERSION_MAJOR,
      NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH);
}

std::string store_self_test() {
  sqlite3* database = nullptr;
  const int opened = sqlite3_open(":memory:", &database);
  const int made = opened == SQLITE_OK
                       ? sqlite3_exec(database, "CREATE TABLE t(x INTEGER) STRICT; INSERT INTO t VALUES (1);", nullptr,
                                      nullptr, nullptr)
                       : opened;
  sqlite3_close(database);
  if (made != SQLITE_OK) throw Error(ErrorCode::io, "SQLite {}: {}", sqlite3_libversion(), sqlite3_errstr(made));
  return fmt::format("SQLite {}", sqlite3_libversion());
}

}  // namespace frazil::cli
