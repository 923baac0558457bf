// The report: one HTML file made from what the engine has published, and of large projects files beside it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "frazil/engine/view.hpp"
#include "frazil/report/sets.hpp"

namespace frazil::report {

/// Writes reports of one project. Up to 150 micrographs the page holds everything. Of more it holds the numbers of all
/// and the pictures of the newest; what is seen when another one is opened lies in PAGE_details/, a file a micrograph,
/// written once and again only when something of it has changed.
class Writer {
 public:
  /// @param project  folder to which the file names in records are relative
  Writer(std::filesystem::path project, std::string version);
  /// Replaces `path` atomically. Pictures that cannot be read are left out. @throws Error(io|resource)
  void write(const engine::Reading& reading, const std::filesystem::path& path);

 private:
  /// Where the numbers of single areas stand.
  struct AreaSets {
    explicit AreaSets(const engine::State& state);
    [[nodiscard]] std::uint64_t digest(int area) const;
    struct Numbers {
      std::string name;
      std::vector<Set> sets;
      std::vector<const char*> columns;
    };
    std::vector<Numbers> numbers;
    std::vector<Set> counts, all;
  };
  static void tell_fate(const engine::Reading& reading, int area, Json& row);
  [[nodiscard]] Json time_of(const engine::Reading& reading, int area);
  [[nodiscard]] Json brief(const engine::Reading& reading, int area, const AreaSets& sets);
  [[nodiscard]] Json whole(const engine::Reading& reading, int area, const AreaSets& sets);
  [[nodiscard]] Json kept_row(const engine::Reading& reading, int area, const AreaSets& sets);
  void write_details(const engine::Reading& reading, const std::vector<int>& areas, const AreaSets& sets,
                     const std::filesystem::path& folder);
  [[nodiscard]] Json micrographs(const engine::Reading& reading, const std::vector<int>& areas,
                                 const std::filesystem::path& details);
  [[nodiscard]] std::string picture(const std::string& reference, int side, int quality) const;
  void add_pictures(Json& m) const;
  [[nodiscard]] Json classes(const engine::Reading& reading) const;
  [[nodiscard]] Json volumes(const engine::Reading& reading) const;

  std::filesystem::path project_;
  std::string version_;
  std::unordered_map<std::string, std::uint64_t> details_;                ///< by subject: what its file was made from
  std::unordered_map<std::string, std::pair<std::uint64_t, Json>> rows_;  ///< the same of rows in the page
  std::unordered_map<std::string, std::pair<std::string, bool>> times_;   ///< by subject: when it was taken; known
};

}  // namespace frazil::report
