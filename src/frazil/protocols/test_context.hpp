// Surroundings of a protocol under test: everything in one folder, references are paths.
#pragma once

#include <map>

#include "frazil/flow/protocol.hpp"

namespace frazil::protocols {

class TestContext final : public flow::Context {
 public:
  explicit TestContext(std::filesystem::path folder = {}, int threads = 1)
      : folder_(std::move(folder)), threads_(threads) {}
  std::filesystem::path output(std::string_view name) override { return folder_ / name; }
  [[nodiscard]] std::string reference(std::string_view name) const override { return (folder_ / name).string(); }
  [[nodiscard]] std::filesystem::path input(const std::string& reference) const override { return reference; }
  std::filesystem::path scratch() override { return folder_; }
  void has_read(const std::string& reference, const std::string& content) override { read[reference] = content; }
  [[nodiscard]] int threads() const override { return threads_; }
  [[nodiscard]] Rng rng() const override { return Rng(1); }
  void check_cancelled() const override {}
  void progress(double, std::string_view) override {}

  std::map<std::string, std::string> read;  ///< contents of input files

 private:
  std::filesystem::path folder_;
  int threads_;
};

}  // namespace frazil::protocols
