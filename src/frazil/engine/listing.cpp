#include "frazil/engine/listing.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <set>
#include <system_error>

#include "frazil/base/utf8.hpp"
#include "frazil/engine/natural_key.hpp"

namespace frazil::engine {
namespace {

namespace fs = std::filesystem;

/// Of a name that leads to no regular file; empty: it is gone.
std::string what_it_is(const fs::directory_entry& entry) {
  std::error_code error;
  if (const auto state = fs::status(entry.path(), error); fs::exists(state)) return "is no regular file";
  return fs::is_symlink(fs::symlink_status(entry.path(), error)) ? "is a link to nothing" : "";
}

class Walk {
 public:
  Walk(const fs::path& base, const std::function<bool(const std::string&)>& wanted,
       const std::function<void(const fs::path&)>& entering)
      : base_(base), wanted_(wanted), entering_(entering) {}

  Listing run() {
    (void)is_new(base_);
    for (auto above = fs::absolute(base_).lexically_normal(); above != above.root_path();) {
      above = above.parent_path();
      (void)is_new(above);  // a link to a folder above would lead back here
    }
    list(base_);
    while (!pending_.empty() || !links_.empty()) {
      if (pending_.empty()) {  // folders under their own names come first
        pending_.push_back(*links_.begin());
        links_.erase(links_.begin());
      }
      const auto folder = std::move(pending_.front());
      pending_.pop_front();
      if (is_new(folder)) list(folder);
    }
    std::sort(found_.files.begin(), found_.files.end(),
              [](const Listing::File& a, const Listing::File& b) { return a.order < b.order; });
    return std::move(found_);
  }

 private:
  /// False if the folder has been listed already. One that cannot be asked is new: listing it says why.
  bool is_new(const fs::path& folder) {
    struct stat info {};
    if (::stat(folder.c_str(), &info) != 0) return true;
    return seen_.insert({info.st_dev, info.st_ino}).second;
  }

  [[nodiscard]] std::string relative(const fs::path& path) const { return relative_to(base_, path); }

  void list(const fs::path& folder) {
    entering_(folder);
    std::error_code error;
    std::vector<fs::directory_entry> entries;
    for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
      if (!it->path().filename().native().starts_with('.')) entries.push_back(*it);
    const bool is_base = folder == base_;
    if (error) {
      Listing::Left left{printable_name(relative(folder)), folder.string() + ": cannot be listed: " + error.message()};
      if (error == std::errc::permission_denied && !is_base)
        found_.skipped.push_back(std::move(left));
      else if (error != std::errc::no_such_file_or_directory || is_base)  // removed while it was read
        found_.unread.push_back(std::move(left));
      return;
    }
    const auto is_project = [](const fs::directory_entry& entry) {
      return entry.path().filename() == "project.frazil";
    };
    if (!is_base && std::any_of(entries.begin(), entries.end(), is_project)) {
      found_.skipped.push_back(
          {printable_name(relative(folder)),
           folder.string() + ": holds a project of frazil: its files are results, and are not taken"});
      return;
    }
    for (const auto& entry : entries) take(entry);
  }

  void take(const fs::directory_entry& entry) {
    std::error_code ignored;
    if (entry.is_directory(ignored)) {
      if (entry.is_symlink(ignored))
        links_.insert(entry.path());
      else
        pending_.push_back(entry.path());
      return;
    }
    const auto path = relative(entry.path());
    if (!wanted_(path)) return;
    auto shown = printable_name(path);
    auto order = natural_key(shown);
    Listing::File file{std::move(shown), std::move(order), entry.path()};
    if (find_state(file.file, file.state))
      found_.files.push_back(std::move(file));
    else if (errno == EIO || errno == ESTALE || errno == EACCES || errno == ETIMEDOUT)  // there, but it cannot be asked
      found_.unread.push_back({file.path, file.file.string() + ": cannot be looked at: " + std::strerror(errno)});
    else if (const auto what = what_it_is(entry); !what.empty())
      found_.skipped.push_back({file.path, file.file.string() + ": " + what + ", and is not taken"});
  }

  const fs::path& base_;
  const std::function<bool(const std::string&)>& wanted_;
  const std::function<void(const fs::path&)>& entering_;
  Listing found_;
  std::set<std::pair<dev_t, ino_t>> seen_;
  std::deque<fs::path> pending_;
  std::set<fs::path> links_;
};

}  // namespace

std::string relative_to(const fs::path& base, const fs::path& path) {
  const auto& whole = path.native();
  const auto start = base.native().size() + (base.native().ends_with('/') ? 0 : 1);
  return whole.size() <= start ? std::string() : whole.substr(start);
}

bool find_state(const fs::path& file, KnownFile& state) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  state = {info.st_size, info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec};
  return true;
}

Listing list_files(const fs::path& base, const std::function<bool(const std::string& path)>& wanted,
                   const std::function<void(const fs::path&)>& entering) {
  return Walk(base, wanted, entering).run();
}

}  // namespace frazil::engine
