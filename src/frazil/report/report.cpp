#include "frazil/report/report.hpp"

#include <fmt/chrono.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <set>

#include "frazil/base/files.hpp"
#include "frazil/image/ops.hpp"
#include "frazil/io/image_file.hpp"
#include "frazil/io/star.hpp"
#include "frazil/model/records.hpp"
#include "frazil/report/page.hpp"
#include "frazil/report/pictures.hpp"

namespace frazil::report {
namespace {

/// Micrographs that get their large pictures and profiles; of the others the table has numbers and thumbnails.
constexpr std::size_t detailed_micrographs = 150;

const Json empty_list = Json::array();

const Json& items_of(const Json& snapshot, const std::string& set) {
  const auto& sets = snapshot.at("sets");
  return sets.contains(set) ? sets.at(set).at("items") : empty_list;
}

/// Items of one kind over all steps, in topological order; filters pass items on and are left out.
template <class Visit>
void for_kind(const Json& snapshot, std::string_view kind, const Visit& visit) {
  for (const auto& step : snapshot.at("steps")) {
    if (step.at("shape") == "filter") continue;
    const auto prefix = step.at("name").get<std::string>() + ".";
    for (const auto& [name, set] : snapshot.at("sets").items())
      if (name.starts_with(prefix) && set.at("kind") == kind)
        for (const auto& item : set.at("items")) visit(step, name, item);
  }
}

std::vector<std::string> sets_of_kind(const Json& snapshot, std::string_view kind) {
  std::vector<std::string> names;
  for (const auto& step : snapshot.at("steps")) {
    const auto prefix = step.at("name").get<std::string>() + ".";
    for (const auto& [name, set] : snapshot.at("sets").items())
      if (name.starts_with(prefix) && set.at("kind") == kind) names.push_back(name);
  }
  return names;
}

/// The first set of a source: its members are the rows of the micrograph table.
std::string source_set(const Json& snapshot) {
  for (const auto& step : snapshot.at("steps"))
    if (step.at("shape") == "source")
      for (const auto& [name, set] : snapshot.at("sets").items())
        if (name.starts_with(step.at("name").get<std::string>() + ".")) return name;
  return {};
}

Json funnel_row(std::string label, double count) { return {{"label", std::move(label)}, {"count", count}, {"reasons", Json::array()}}; }

/// "max_step_A" → how people say it.
std::string rule_in_words(const std::string& rule) {
  static const std::map<std::string, std::string> words = {{"max_step_A", "steps too large"},       {"total_path_A", "drift too long"},
                                                           {"net_drift_A", "net drift too long"},    {"fit_resolution_A", "rings end too early"},
                                                           {"score", "rings and model disagree"},    {"defocus_A", "defocus out of range"},
                                                           {"astigmatism_A", "astigmatism too high"}, {"iceness", "crystalline ice"}};
  const auto found = words.find(rule);
  return found == words.end() ? rule : found->second;
}

/// Movies or micrographs on their way through the steps that look at each of them once.
Json subject_funnel(const Json& snapshot) {
  Json rows = Json::array();
  std::map<std::string, Json> reasons;
  for (const auto& step : snapshot.at("steps")) {
    const auto name = step.at("name").get<std::string>();
    const auto shape = step.at("shape").get<std::string>();
    if (shape == "fold" || (step.contains("versioned") && step.at("versioned"))) continue;
    std::set<std::string> subjects;
    for (const auto& [set, value] : snapshot.at("sets").items())
      if (set.starts_with(name + ".") && !set.ends_with(".set_aside"))
        for (const auto& item : value.at("items")) subjects.insert(item.at("subject").get<std::string>());
    auto row = funnel_row(step.value("title", name), static_cast<double>(subjects.size()));
    std::map<std::string, int> why;
    for (const auto& decision : snapshot.at("decisions"))
      if (decision.at("step") == name && !decision.at("accepted")) ++why["set aside: " + rule_in_words(decision.value("rule", ""))];
    for (const auto& failure : snapshot.at("failures"))
      if (failure.at("step") == name) ++why["failed"];
    for (const auto& [reason, count] : why) row["reasons"].push_back({{"reason", reason}, {"count", count}});
    rows.push_back(std::move(row));
  }
  return rows;
}

double sum_of(const Json& items, const char* key) {
  double sum = 0;
  for (const auto& item : items) sum += item.at("record").value(key, 0.0);
  return sum;
}

const Json* latest(const Json& items) { return items.empty() ? nullptr : &items.back(); }

Json particle_funnel(const Json& snapshot) {
  Json rows = Json::array();
  const auto title_of = [&](const std::string& set) {
    const auto step = set.substr(0, set.find('.'));
    for (const auto& s : snapshot.at("steps"))
      if (s.at("name") == step) return std::pair{s.value("title", step), s.at("shape").get<std::string>()};
    return std::pair{step, std::string()};
  };
  for (const auto& set : sets_of_kind(snapshot, Coordinates::kind))
    rows.push_back(funnel_row("positions: " + title_of(set).first, sum_of(items_of(snapshot, set), "count")));
  for (const auto& set : sets_of_kind(snapshot, Particles::kind)) {
    if (set.ends_with(".set_aside") || items_of(snapshot, set).empty()) continue;
    const auto [title, shape] = title_of(set);
    const auto& items = items_of(snapshot, set);
    const bool per_area = !items.front().at("subject").get<std::string>().empty() && items.front().at("record").value("stack", "") != "";
    auto row = funnel_row("particles: " + title, per_area ? sum_of(items, "count") : latest(items)->at("record").value("count", 0.0));
    const auto aside = set.substr(0, set.find('.')) + ".set_aside";
    if (const auto lost = sum_of(items_of(snapshot, aside), "count"); lost > 0) row["reasons"].push_back({{"reason", "set aside"}, {"count", lost}});
    rows.push_back(std::move(row));
  }
  for (const auto& set : sets_of_kind(snapshot, Classes::kind))
    if (const auto* item = latest(items_of(snapshot, set)); item != nullptr && item->at("record").at("selected").empty())
      rows.push_back(funnel_row("in 2D classes", item->at("record").value("particle_count", 0.0)));
  return rows;
}

Json limits(const Json& snapshot) {
  Json limits = Json::object();
  for (const auto& decision : snapshot.at("decisions"))
    if (!decision.value("rule", "").empty()) limits[decision.at("rule").get<std::string>()] = decision.at("limit");
  return limits;
}

Json picks_of(const std::filesystem::path& star) {
  Json picks = Json::array();
  try {
    const auto file = io::read_star(star);
    const auto& table = file.table_with("rlnCoordinateX");
    for (std::size_t row = 0; row < table.rows(); ++row) picks.push_back({std::lround(table.number(row, "rlnCoordinateX")), std::lround(table.number(row, "rlnCoordinateY"))});
  } catch (const Error&) {
    return nullptr;  // an empty table has no such column: nothing to draw
  }
  return picks;
}

Image projection(const Volume& volume, int axis) {
  const int n = volume.nx();
  Image image(n, n, volume.pixel_size);
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x) image(axis == 0 ? y : x, axis == 2 ? y : z) += volume(x, y, z);
  return image;
}

Image section(const Volume& volume, int axis) {
  const int n = volume.nx();
  Image image(n, n, volume.pixel_size);
  for (int v = 0; v < n; ++v)
    for (int u = 0; u < n; ++u) image(u, v) = axis == 0 ? volume(n / 2, u, v) : axis == 1 ? volume(u, n / 2, v) : volume(u, v, n / 2);
  return image;
}

/// Small maps are shown at 192 px or more, so that the browser does not blur 64 px over the page.
std::string enlarged_uri(const Image& image) {
  const int factor = std::max(1, static_cast<int>(std::ceil(192.0 / image.nx())));
  const auto large = factor == 1 ? image.clone() : fourier_resize(image, image.nx() * factor, image.ny() * factor);
  return png_uri(large, static_cast<float>(quantile(large, 0.002)), static_cast<float>(quantile(large, 0.9995)));
}

Json read_json(const std::filesystem::path& path) {
  try {
    return Json::parse(read_text(path), nullptr, false);
  } catch (const Error&) {
    return nullptr;
  }
}

std::string embeddable(const Json& data) {
  auto text = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (std::size_t at = 0; (at = text.find("</", at)) != std::string::npos; at += 3) text.replace(at, 2, "<\\/");
  return text;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return fmt::format("{:%d %B %Y, %H:%M:%S}", local);
}

std::string amount(double value) {
  auto digits = fmt::format("{:.0f}", value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

double median(std::vector<double> values) {
  if (values.empty()) return std::nan("");
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Json summary(const Json& snapshot, const Json& micrographs, const Json& classes, const Json& volumes) {
  Json tiles = Json::array();
  const auto add = [&](std::string value, std::string label) { tiles.push_back({{"value", std::move(value)}, {"label", std::move(label)}}); };
  int kept = 0, aside = 0, failed = 0;
  double particles = 0;
  std::vector<double> drift, defocus, rings;
  for (const auto& m : micrographs) {
    kept += m.at("status") == "kept";
    aside += m.at("status") == "set_aside";
    failed += m.at("status") == "failed";
    if (m.contains("count")) particles += m.at("count").get<double>();
    if (m.contains("motion")) drift.push_back(m.at("motion").value("total_path_A", 0.0));
    if (m.contains("ctf")) {
      defocus.push_back((m.at("ctf").value("defocus_u_A", 0.0) + m.at("ctf").value("defocus_v_A", 0.0)) / 2e4);
      rings.push_back(m.at("ctf").value("fit_resolution_A", 0.0));
    }
  }
  add(amount(static_cast<double>(micrographs.size())), "micrographs seen");
  add(amount(kept), "kept");
  add(amount(aside + failed), failed > 0 ? fmt::format("set aside, {} of them failed", failed) : "set aside");
  if (!drift.empty()) add(fmt::format("{:.1f} Å", median(drift)), "median drift");
  if (!defocus.empty()) add(fmt::format("{:.2f} µm", median(defocus)), "median defocus");
  if (!rings.empty()) add(fmt::format("{:.1f} Å", median(rings)), "Thon rings reach (median)");
  if (particles > 0) add(amount(particles), "particles");
  if (!classes.is_null()) add(amount(static_cast<double>(classes.at("list").size())), "2D classes");
  for (const auto& volume : volumes)
    if (volume.value("resolution_A", 0.0) > 0) add(fmt::format("{:.1f} Å", volume.at("resolution_A").get<double>()), "initial volume");
  (void)snapshot;
  return tiles;
}

}  // namespace

Writer::Writer(std::filesystem::path project, std::string version) : project_(std::move(project)), version_(std::move(version)) {}

std::string Writer::picture(const std::string& reference, int side, int quality) {
  if (reference.empty()) return {};
  const auto key = fmt::format("{} {}", reference, side);
  if (const auto found = pictures_.find(key); found != pictures_.end()) return found->second;
  auto uri = jpeg_uri(project_ / reference, side, quality);
  if (!uri.empty()) pictures_[key] = uri;
  return uri;
}

Json Writer::micrographs(const Json& snapshot) {
  std::map<std::string, Json> rows;  // by subject
  std::vector<std::pair<std::string, std::string>> order;
  for (const auto& item : items_of(snapshot, source_set(snapshot))) {
    const auto subject = item.at("subject").get<std::string>();
    rows[subject] = {{"name", item.at("record").value("name", subject)}, {"status", "pending"}, {"reason", ""}};
    order.emplace_back(item.value("order", ""), subject);
  }
  std::sort(order.begin(), order.end());
  const auto row = [&](const Json& item) -> Json* {
    const auto found = rows.find(item.at("subject").get<std::string>());
    return found == rows.end() ? nullptr : &found->second;
  };
  for_kind(snapshot, Motion::kind, [&](const Json&, const std::string&, const Json& item) { if (auto* r = row(item)) (*r)["motion"] = item.at("record"); });
  for_kind(snapshot, CtfFit::kind, [&](const Json&, const std::string&, const Json& item) { if (auto* r = row(item)) (*r)["ctf"] = item.at("record"); });
  for_kind(snapshot, Micrograph::kind, [&](const Json&, const std::string&, const Json& item) {
    if (auto* r = row(item)) (*r)["image"] = item.at("record");
  });
  for_kind(snapshot, Coordinates::kind, [&](const Json&, const std::string&, const Json& item) {
    if (auto* r = row(item)) {
      (*r)["coordinates"] = item.at("record");
      (*r)["count"] = item.at("record").value("count", 0);
    }
  });
  for_kind(snapshot, Particles::kind, [&](const Json&, const std::string& set, const Json& item) {
    if (auto* r = row(item); r != nullptr && !set.ends_with(".set_aside")) (*r)["count"] = item.at("record").value("count", 0);
  });
  // Kept: went through everything that looks at single micrographs, or is not waited for any more.
  std::string last_set;
  for (const auto& step : snapshot.at("steps"))
    if (step.at("shape") == "map" || step.at("shape") == "filter")
      for (const auto& [name, set] : snapshot.at("sets").items())
        if (name.starts_with(step.at("name").get<std::string>() + ".") && !name.ends_with(".set_aside") && !set.at("items").empty() &&
            rows.contains(set.at("items").front().at("subject").get<std::string>()))
          last_set = name;
  for (const auto& item : items_of(snapshot, last_set))
    if (auto* r = row(item)) (*r)["status"] = "kept";
  for (const auto& decision : snapshot.at("decisions"))
    if (!decision.at("accepted"))
      if (auto* r = row(decision)) {
        (*r)["status"] = "set_aside";
        (*r)["reason"] = decision.value("reason", "");
      }
  for (const auto& failure : snapshot.at("failures")) {
    auto* r = row(failure);
    if (r == nullptr) {  // failed before it became an item
      const auto subject = failure.at("subject").get<std::string>();
      order.emplace_back(failure.value("order", ""), subject);
      r = &(rows[subject] = {{"name", subject}});
    }
    (*r)["status"] = "failed";
    (*r)["reason"] = failure.value("error", "");
  }

  Json list = Json::array();
  std::size_t index = 0;
  for (const auto& [key, subject] : order) {
    auto& m = rows[subject];
    const bool detailed = order.size() <= detailed_micrographs || order.size() - index <= detailed_micrographs || index == 0;
    ++index;
    if (m.contains("image")) {
      const auto& image = m["image"];
      m["thumb"] = picture(image.value("thumbnail", ""), 84, 70);
      m["width"] = image.value("nx", 1);
      m["height"] = image.value("ny", 1);
      if (detailed) m["picture"] = picture(image.value("thumbnail", ""), 512, 80);
      if (m.contains("coordinates")) {
        m["radius"] = std::max(3.0, m["coordinates"].value("diameter_A", 0.0) / 2 / std::max(0.01, image.value("pixel_size_A", 1.0)));
        if (detailed) m["picks"] = picks_of(project_ / m["coordinates"].value("coordinates", ""));
      }
    }
    if (detailed && m.contains("ctf")) {
      m["spectrum"] = picture(m["ctf"].value("power_spectrum", ""), 512, 85);
      if (const auto profile = m["ctf"].value("profile", ""); !profile.empty())
        if (auto json = read_json(project_ / profile); json.is_object()) m["profile"] = std::move(json);
    }
    m.erase("image");
    m.erase("coordinates");
    list.push_back(std::move(m));
  }
  return list;
}

Json Writer::classes(const Json& snapshot) {
  const Json* found = nullptr;
  for (const auto& set : sets_of_kind(snapshot, Classes::kind))
    if (const auto* item = latest(items_of(snapshot, set)))
      if (found == nullptr || item->at("record").value("particle_count", 0) >= found->value("particle_count", 0)) found = &item->at("record");
  if (found == nullptr) return nullptr;
  const auto record = record_from_json<Classes>(*found);
  Json list = Json::array();
  try {
    const io::StackReader averages(project_ / record.averages);
    for (int c = 0; c < averages.info().nz; ++c) {
      const auto i = static_cast<std::size_t>(c);
      const int count = i < record.counts.size() ? record.counts[i] : 0;
      if (count == 0) continue;
      const auto image = averages.read(c);
      Json entry = {{"index", c + 1}, {"count", count}, {"image", png_uri(image, static_cast<float>(quantile(image, 0.02)), static_cast<float>(quantile(image, 0.998)))}};
      entry["resolution_A"] = i < record.resolution.size() ? record.resolution[i].value() : 0;
      if (i < record.selected.size()) entry["selected"] = record.selected[i] != 0;
      if (i < record.reasons.size()) entry["reason"] = record.reasons[i];
      list.push_back(std::move(entry));
    }
  } catch (const Error&) {
    return nullptr;  // the version is being replaced; the next report has it
  }
  std::stable_sort(list.begin(), list.end(), [](const Json& a, const Json& b) {
    const bool ka = a.value("selected", true), kb = b.value("selected", true);
    return ka != kb ? ka : a.at("count").get<int>() > b.at("count").get<int>();
  });
  return {{"version", record.version}, {"particle_count", record.particle_count}, {"pixel_size_A", record.pixel_size.value()}, {"list", list}};
}

Json Writer::volumes(const Json& snapshot) {
  Json list = Json::array();
  for (const auto& set : sets_of_kind(snapshot, VolumeMap::kind)) {
    const auto* item = latest(items_of(snapshot, set));
    if (item == nullptr) continue;
    const auto record = record_from_json<VolumeMap>(item->at("record"));
    try {
      const auto volume = io::read_volume(project_ / record.volume);
      Json entry = {{"name", set.substr(0, set.find('.'))}, {"particle_count", record.particle_count}, {"symmetry", record.symmetry},
                    {"resolution_A", record.resolution.value()}, {"side_A", record.pixel_size.value() * record.box}};
      for (int axis = 0; axis < 3; ++axis) {
        entry["projections"].push_back(enlarged_uri(projection(volume, axis)));
        entry["slices"].push_back(enlarged_uri(section(volume, axis)));
      }
      if (!record.fsc.empty())
        if (auto fsc = read_json(project_ / record.fsc); fsc.is_object()) entry["fsc"] = std::move(fsc);
      list.push_back(std::move(entry));
    } catch (const Error&) {
      continue;
    }
  }
  return list;
}

void Writer::write(const Json& snapshot, const std::filesystem::path& path) {
  Json data = {{"version", version_}, {"updated", now_text()}, {"title", snapshot.value("title", snapshot.value("name", "frazil project"))},
               {"subtitle", snapshot.value("subtitle", "")}, {"state", snapshot.value("state", "")},
               {"warnings", snapshot.contains("warnings") ? snapshot.at("warnings") : Json::array()},
               {"parameters", snapshot.at("parameters")}, {"steps", snapshot.at("steps")}};
  data["micrographs"] = micrographs(snapshot);
  data["classes"] = classes(snapshot);
  data["volumes"] = volumes(snapshot);
  data["limits"] = limits(snapshot);
  data["funnels"] = {subject_funnel(snapshot), particle_funnel(snapshot)};
  data["summary"] = summary(snapshot, data["micrographs"], data["classes"], data["volumes"]);

  std::string html(page_template());
  const std::string mark = "/*DATA*/";
  const auto at = html.find(mark);
  expect(at != std::string::npos, "the page has a place for its data");
  html.replace(at, mark.size(), embeddable(data));
  write_text(path, html);
}

}  // namespace frazil::report
