#include "frazil/cli/info.hpp"

#include <cmath>
#include <filesystem>
#include <functional>
#include <iostream>

#include <unistd.h>

#include "frazil/base/files.hpp"
#include "frazil/base/parallel.hpp"
#include "frazil/cli/usage.hpp"
#include "frazil/cli/version.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/movie_file.hpp"
#include "frazil/io/picture.hpp"
#include "frazil/io/star.hpp"
#include "frazil/io/tiff_writer.hpp"
#include "frazil/plugin/installed.hpp"
#include "frazil/sim/dm_writer.hpp"
#include "frazil/sim/eer_writer.hpp"

namespace frazil::cli {
namespace {

namespace fs = std::filesystem;

struct Check {
  std::string name;
  std::function<std::string()> run;  ///< gives a remark; throws when it does not work
  bool optional = false;
};

Image test_image() {
  Image image(64, 48, 1.5_A);
  Rng rng(1);
  for (auto& v : image.pixels()) v = static_cast<float>(rng.below(16));
  return image;
}

void require_equal(const Image& a, const Image& b) {
  if (a.nx() != b.nx() || a.ny() != b.ny()) throw Error(ErrorCode::bug, "the image came back with another size");
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a.pixels()[i] != b.pixels()[i])
      throw Error(ErrorCode::bug, "pixel {} came back as {} instead of {}", i, b.pixels()[i], a.pixels()[i]);
}

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const auto candidate = fs::path(rest.substr(0, colon)) / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
    rest = colon == std::string::npos ? "" : rest.substr(colon + 1);
  }
  throw Error(ErrorCode::not_found, "not installed (optional)");
}

std::vector<Check> checks(const fs::path& folder) {
  std::vector<Check> list;
  for (const auto& [name, mode] : {std::pair{"MRC mode 0 (8 bit)", io::MrcMode::i8},
                                   {"MRC mode 1 (16 bit)", io::MrcMode::i16},
                                   {"MRC mode 2 (float)", io::MrcMode::f32},
                                   {"MRC mode 6 (unsigned 16 bit)", io::MrcMode::u16},
                                   {"MRC mode 12 (half float)", io::MrcMode::f16},
                                   {"MRC mode 101 (4 bit)", io::MrcMode::u4}})
    list.push_back({name, [folder, mode = mode] {
                      io::write_image(folder / "a.mrc", test_image(), mode);
                      require_equal(test_image(), io::read_image(folder / "a.mrc"));
                      return std::string("written and read back");
                    }});
  for (const auto& [name, compression] : {std::pair{"TIFF uncompressed", io::TiffCompression::none},
                                          {"TIFF LZW", io::TiffCompression::lzw},
                                          {"TIFF deflate", io::TiffCompression::deflate}})
    for (const bool big : {false, true})
      list.push_back({std::string(name) + (big ? ", BigTIFF" : ""), [folder, compression = compression, big] {
                        io::TiffOptions options;
                        options.compression = compression;
                        options.big = big;
                        io::TiffStackWriter writer(folder / "a.tif", 64, 48, options);
                        writer.append(test_image());
                        writer.append(test_image());
                        writer.close();
                        require_equal(test_image(), io::MovieReader(folder / "a.tif").read_frame(1));
                        return std::string("two frames written and read back");
                      }});
  for (const auto& [name, format] :
       {std::pair{"EER 65000 (8-bit runs)", sim::EerFormat{.compression = 65000}},
        {"EER 65001 (7-bit runs)", sim::EerFormat{.compression = 65001}},
        {"EER 65002 (any bits)",
         sim::EerFormat{.compression = 65002, .run_bits = 8, .sub_x_bits = 1, .sub_y_bits = 1}}})
    list.push_back({name, [folder, format = format] {
                      sim::EerWriter writer(folder / "a.eer", 64, 48, format);
                      Image counts(64, 48);
                      for (std::uint32_t f = 0; f < 3; ++f) {
                        std::vector<sim::Electron> electrons;
                        for (std::uint32_t p = f; p < 64U * 48; p += 7 + 300 * f) {
                          electrons.push_back({p, 1, 2});
                          counts.pixels()[p] += 1;
                        }
                        writer.append(electrons);
                      }
                      writer.close();
                      require_equal(counts, io::MovieReader(folder / "a.eer", {EerGrid::k4, 1}).read_frame(0));
                      return std::string("three raw frames written and read back");
                    }});
  list.push_back({"DM4", [folder] {
                    write_text(folder / "a.dm4", sim::dm_file(test_image()));
                    require_equal(test_image(), io::read_image(folder / "a.dm4"));
                    return std::string("written and read back");
                  }});
  list.push_back({"STAR", [folder] {
                    io::StarFile file;
                    io::StarTable table("optics", {"rlnOpticsGroup", "rlnVoltage"});
                    const auto row = table.add_row();
                    table.set(row, "rlnOpticsGroup", 1);
                    table.set(row, "rlnVoltage", 300.0);
                    file.add(std::move(table));
                    io::write_star(folder / "a.star", file);
                    if (io::read_star(folder / "a.star").table("optics").number(0, "rlnVoltage") != 300.0)
                      throw Error(ErrorCode::bug, "a number changed");
                    return std::string("written and read back");
                  }});
  list.push_back({"PNG", [folder] {
                    io::write_png(folder / "a.png", test_image(), 0, 15);
                    return fmt::format("{} × {} pixels", io::read_png(folder / "a.png").nx, 48);
                  }});
  list.push_back({"FFT", [] {
                    const auto image = test_image();
                    const auto back = ifft(fft(image));
                    double worst = 0;
                    for (std::size_t i = 0; i < image.size(); ++i)
                      worst = std::max(worst, std::abs(double{image.pixels()[i]} - double{back.pixels()[i]}));
                    if (worst > 1e-4) throw Error(ErrorCode::bug, "forward and back differs by {:g}", worst);
                    return fmt::format("forward and back within {:.1e}", worst);
                  }});
  list.push_back({"CPU", [] {
                    return fmt::format("AVX2 and FMA{}; {} CPUs for this process",
                                       __builtin_cpu_supports("avx512f") ? ", AVX-512 (not used yet)" : "",
                                       available_cpus());
                  }});
  list.push_back({"project store", [] { return store_self_test(); }});
  list.push_back({"disk", [folder] {
                    write_text(folder / "probe", "x");
                    return fmt::format("{:.1f} GB free in {}", static_cast<double>(fs::space(folder).available) / 1e9,
                                       folder.parent_path().string());
                  }});
  for (const auto* program : {"relion_refine", "sbatch", "git"})
    list.push_back({program, [program] { return find_program(program); }, true});
  return list;
}

}  // namespace

int protocols_command(Arguments arguments) {
  const auto parsed = parse(arguments, {option("json", "boolean", "As JSON"), option("help", "boolean", "This text")});
  if (parsed.has("help")) {
    std::cout << "frazil protocols [NAME] [--json]\n";
    return ok;
  }
  const auto& registry = plugin::registry();
  if (!parsed.positional.empty()) {
    const auto description = flow::describe(registry.at(parsed.positional[0]));
    if (parsed.has("json"))
      std::cout << description.dump(2) << "\n";
    else
      std::cout << registry.at(parsed.positional[0]).title << ": " << description["help"].get<std::string>() << "\n\n"
                << markdown_table(registry.at(parsed.positional[0]).params);
    return ok;
  }
  Json all = Json::array();
  for (const auto& protocol : registry.all()) {
    if (parsed.has("json"))
      all.push_back(flow::describe(protocol));
    else
      std::cout << fmt::format("{:20} {:14} {}\n{}", protocol.name,
                               protocol.state == flow::State::stable ? "stable" : "first version", protocol.title,
                               protocol.thin.empty() ? "" : fmt::format("{:36}{}\n", "", protocol.thin));
  }
  if (parsed.has("json")) std::cout << all.dump(2) << "\n";
  return ok;
}

int version_command(Arguments arguments) {
  if (!parse_or_help(arguments, {"frazil version   program, commit, compiler, CPU targets, libraries"})) return ok;
  std::cout << version_text();
  return ok;
}

int self_test_command(Arguments arguments) {
  const auto parsed =
      parse(arguments, {option("json", "boolean", "As JSON lines"), option("help", "boolean", "This text")});
  if (parsed.has("help")) {
    std::cout << "frazil self-test [--json]: what works on this machine\n";
    return ok;
  }
  const auto folder = fs::temp_directory_path() / fmt::format("frazil-self-test-{}", ::getpid());
  make_folders(folder);
  int failed = 0;
  for (const auto& check : checks(folder)) {
    bool works = true;
    std::string remark;
    try {
      remark = check.run();
    } catch (const std::exception& error) {
      works = false;
      remark = error.what();
      if (!check.optional) ++failed;
    }
    if (parsed.has("json"))
      std::cout
          << Json({{"check", check.name}, {"works", works}, {"optional", check.optional}, {"remark", remark}}).dump()
          << "\n";
    else
      std::cout << fmt::format("{:6} {:32} {}\n", works ? "ok" : check.optional ? "–" : "FAILS", check.name, remark);
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return failed == 0 ? ok : some_failed;
}

}  // namespace frazil::cli
