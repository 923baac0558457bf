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
#include "frazil/model/camera.hpp"
#include "frazil/model/records.hpp"
#include "frazil/report/page.hpp"
#include "frazil/report/pictures.hpp"

namespace frazil::report {
namespace {

/// Micrographs that get their large pictures and profiles; of the others the table has numbers and thumbnails.
constexpr std::size_t detailed_micrographs = 150;

const Json empty_list = Json::array();

/// One output of one step.
struct Set {
  const Json* step;
  const Json* set;
  [[nodiscard]] std::string step_name() const { return step->at("name"); }
  [[nodiscard]] std::string port() const { return set->at("port"); }
  [[nodiscard]] std::string title() const { return step->value("title", step_name()); }
  [[nodiscard]] bool is_filter() const { return step->at("shape") == "filter"; }
  [[nodiscard]] const Json& items() const { return set->at("items"); }
};

/// All sets in topological order of their steps.
std::vector<Set> all_sets(const Json& snapshot) {
  std::vector<Set> list;
  for (const auto& step : snapshot.at("steps"))
    for (const auto& set : step.at("sets")) list.push_back({&step, &set});
  return list;
}

/// Sets whose items are made by their step (filters pass others' items on).
std::vector<Set> made_sets(const Json& snapshot, std::string_view kind) {
  std::vector<Set> list;
  for (const auto& set : all_sets(snapshot))
    if (!set.is_filter() && set.set->at("kind") == kind) list.push_back(set);
  return list;
}

/// Movies or micrographs of the first source: the rows of the micrograph table. Empty when a workflow starts at
/// particles.
const Json& source_items(const Json& snapshot) {
  for (const auto& set : all_sets(snapshot))
    if (set.step->at("shape") == "source" &&
        (set.set->at("kind") == Movie::kind || set.set->at("kind") == Micrograph::kind))
      return set.items();
  return empty_list;
}

Json funnel_row(std::string label, double count) {
  return {{"label", std::move(label)}, {"count", count}, {"reasons", Json::array()}};
}

/// What people read of a decision's rule: its own words, or its name where it has none.
std::string rule_in_words(const Json& decision) {
  const auto title = decision.value("title", "");
  return title.empty() ? decision.value("rule", "") : title;
}

/// Movies or micrographs on their way through the steps that look at each of them once.
Json subject_funnel(const Json& snapshot) {
  Json rows = Json::array();
  std::set<std::string> areas;
  for (const auto& item : source_items(snapshot)) areas.insert(item.at("subject").get<std::string>());
  for (const auto& step : snapshot.at("steps")) {
    if (step.at("shape") == "fold") continue;
    std::set<std::string> subjects;
    for (const auto& set : step.at("sets"))
      if (set.at("port") != "set_aside")
        for (const auto& item : set.at("items"))
          if (areas.contains(item.at("subject"))) subjects.insert(item.at("subject").get<std::string>());
    std::map<std::string, int> why;
    for (const auto& decision : step.at("decisions"))
      if (!decision.at("accepted") && areas.contains(decision.at("subject")))
        ++why["set aside: " + rule_in_words(decision)];
    if (!step.at("failures").empty()) why["failed"] = static_cast<int>(step.at("failures").size());
    if (subjects.empty() && why.empty()) continue;
    auto row = funnel_row(step.value("title", ""), static_cast<double>(subjects.size()));
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

/// The version that holds the most: items are sorted by order key, versions of a fold follow each other.
const Json* latest(const Json& items) { return items.empty() ? nullptr : &items.back(); }

const Json& items_of_port(const Json& step, std::string_view port) {
  for (const auto& set : step.at("sets"))
    if (set.at("port") == port) return set.at("items");
  return empty_list;
}

Json particle_funnel(const Json& snapshot) {
  Json rows = Json::array();
  for (const auto& set : made_sets(snapshot, Coordinates::kind))
    if (!set.items().empty()) rows.push_back(funnel_row("positions: " + set.title(), sum_of(set.items(), "count")));
  for (const auto& set : made_sets(snapshot, Particles::kind)) {
    if (set.port() == "set_aside" || set.items().empty()) continue;
    const bool per_area =
        set.items().front().at("record").value("stack", "") != "";  // a selection has no stack of its own
    auto row =
        funnel_row("particles: " + set.title(),
                   per_area ? sum_of(set.items(), "count") : latest(set.items())->at("record").value("count", 0.0));
    if (const auto lost = sum_of(items_of_port(*set.step, "set_aside"), "count"); lost > 0)
      row["reasons"].push_back({{"reason", "set aside"}, {"count", lost}});
    rows.push_back(std::move(row));
  }
  return rows;
}

/// The limit of each criterion that filters used: drawn into the plots.
Json limits(const Json& snapshot) {
  Json limits = Json::object();
  for (const auto& step : snapshot.at("steps"))
    for (const auto& decision : step.at("decisions"))
      if (const auto rule = decision.value("rule", ""); !rule.empty()) limits[rule] = decision.at("limit");
  return limits;
}

/// What the page shows of one of several CTF estimates.
Json estimate_of(const Json& record) {
  const auto fit = record_from_json<CtfFit>(record);
  return {{"method", fit.method},
          {"defocus_A", ((fit.defocus_u + fit.defocus_v) / 2).value()},
          {"sigma_A", fit.sigma_defocus.value()},
          {"astigmatism_A", (fit.defocus_u - fit.defocus_v).value()},
          {"sigma_astigmatism_A", fit.sigma_astigmatism.value()},
          {"angle_deg", fit.astigmatism_angle.value()},
          {"resolution_A", fit.fit_resolution.value()},
          {"confidence", fit.quality.confidence}};
}

Json picks_of(const std::filesystem::path& star) {
  Json picks = Json::array();
  try {
    const auto file = io::read_star(star);
    const auto& table = file.table_with("rlnCoordinateX");
    for (std::size_t row = 0; row < table.rows(); ++row)
      picks.push_back(
          {std::lround(table.number(row, "rlnCoordinateX")), std::lround(table.number(row, "rlnCoordinateY"))});
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
    for (int u = 0; u < n; ++u)
      image(u, v) = axis == 0 ? volume(n / 2, u, v) : axis == 1 ? volume(u, n / 2, v) : volume(u, v, n / 2);
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
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

double median(std::vector<double> values) {
  if (values.empty()) return std::nan("");
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Json summary(const Json& micrographs, const Json& classes, const Json& volumes) {
  Json tiles = Json::array();
  const auto add = [&](std::string value, std::string label) {
    tiles.push_back({{"value", std::move(value)}, {"label", std::move(label)}});
  };
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
  if (!micrographs.empty()) {
    add(amount(static_cast<double>(micrographs.size())), "micrographs seen");
    add(amount(kept), "kept");
    add(amount(aside + failed), failed > 0 ? fmt::format("set aside, {} of them failed", failed) : "set aside");
  }
  if (!drift.empty()) add(fmt::format("{:.1f} Å", median(drift)), "median drift");
  if (!defocus.empty()) add(fmt::format("{:.2f} µm", median(defocus)), "median defocus");
  if (!rings.empty()) add(fmt::format("{:.1f} Å", median(rings)), "Thon rings reach (median)");
  if (particles > 0)
    add(amount(particles), "particles");
  else if (!classes.is_null())
    add(amount(classes.at("particle_count").get<double>()), "particles");
  if (!classes.is_null()) add(amount(static_cast<double>(classes.at("list").size())), "2D classes");
  for (const auto& volume : volumes)
    if (volume.value("resolution_A", 0.0) > 0)
      add(fmt::format("{:.1f} Å", volume.at("resolution_A").get<double>()), "initial volume");
  return tiles;
}

std::string title(const Json& snapshot) {
  const auto name = snapshot.at("values").value("project_name", "");
  if (!name.empty()) return name;
  const auto folder = std::filesystem::path(snapshot.at("project").value("folder", "")).filename().string();
  return folder.empty() ? "frazil project" : folder;
}

std::string subtitle(const Json& snapshot) {
  std::string text = snapshot.at("project").value("title", "");
  for (const auto* key : {"sample", "user"})
    if (const auto value = snapshot.at("values").contains(key) ? snapshot.at("values").at(key) : Json();
        value.is_string() && value != "")
      text += (text.empty() ? "" : " · ") + value.get<std::string>();
  return text;
}

Json warnings(const Json& snapshot) {
  Json list = snapshot.contains("status") ? snapshot.at("status").value("alarms", Json::array()) : Json::array();
  for (const auto& file : snapshot.contains("files") ? snapshot.at("files") : empty_list)
    if (file.at("state") == "growing" && !file.value("reason", "").empty()) list.push_back(file.at("reason"));
  for (const auto& set : made_sets(snapshot, CtfTrend::kind))
    if (const auto* item = latest(set.items()))
      for (const auto& alarm : record_from_json<CtfTrend>(item->at("record")).alarms) list.push_back(alarm);
  return list;
}

Json parameters(const Json& snapshot) {
  Json list = Json::array();
  const auto& values = snapshot.at("values");
  for (const auto& parameter : snapshot.at("workflow").value("parameters", Json::array())) {
    const auto name = parameter.value("name", "");
    if (!values.contains(name) || values.at(name).is_null() || values.at(name) == "") continue;
    const auto& value = values.at(name);
    list.push_back({{"title", parameter.value("title", name)},
                    {"value", value.is_string() ? value.get<std::string>() : value.dump()},
                    {"unit", parameter.value("unit", "")}});
  }
  return list;
}

Json steps(const Json& snapshot) {
  Json list = Json::array();
  for (const auto& step : snapshot.at("steps")) {
    const auto& counts = step.at("counts");
    list.push_back({{"name", step.at("name")},
                    {"title", step.value("title", "")},
                    {"note", step.value("note", "")},
                    {"done", counts.value("done", 0)},
                    {"running", counts.value("running", 0)},
                    {"waiting", counts.value("waiting", 0) + counts.value("queued", 0)},
                    {"failed", counts.value("failed", 0)},
                    {"seconds", step.contains("seconds") ? step.at("seconds").value("median", Json()) : Json()}});
  }
  return list;
}

}  // namespace

Writer::Writer(std::filesystem::path project, std::string version)
    : project_(std::move(project)), version_(std::move(version)) {}

std::string Writer::picture(const std::string& reference, int side, int quality) {
  if (reference.empty()) return {};
  const auto key = fmt::format("{} {}", reference, side);
  if (const auto found = pictures_.find(key); found != pictures_.end()) return found->second;
  std::string uri;
  if (reference.ends_with(".png")) {
    uri = jpeg_uri(project_ / reference, side, quality);
  } else {
    try {
      uri = jpeg_uri(io::read_image(project_ / reference), side, quality);
    } catch (const Error&) {  // moved or unreadable since: the numbers are still worth showing
    }
  }
  if (!uri.empty()) pictures_[key] = uri;
  return uri;
}

/// Thumbnail of one row of the table, and what it shows when opened.
void Writer::add_pictures(Json& m, bool detailed) {
  if (m.contains("image")) {
    const auto& image = m["image"];
    const auto shown = image.value("thumbnail", "").empty() ? image.value("path", "") : image.value("thumbnail", "");
    m["thumb"] = picture(shown, 84, 70);
    m["width"] = image.value("nx", 1);
    m["height"] = image.value("ny", 1);
    if (detailed) m["picture"] = picture(shown, 512, 80);
    if (detailed && m.contains("mask") && m["mask"].value("masked_fraction", 0.0) > 0)
      m["mask_picture"] = picture(m["mask"].value("picture", ""), 512, 80);
    if (m.contains("coordinates")) {
      m["radius"] = std::max(
          3.0, m["coordinates"].value("diameter_A", 0.0) / 2 / std::max(0.01, image.value("pixel_size_A", 1.0)));
      if (detailed) m["picks"] = picks_of(project_ / m["coordinates"].value("coordinates", ""));
    }
  }
  if (detailed && m.contains("motion") && !m["motion"].value("plot", "").empty())
    m["motion_plot"] = picture(m["motion"].value("plot", ""), 840, 85);
  if (detailed && m.contains("ctf")) {
    m["spectrum"] = picture(m["ctf"].value("power_spectrum", ""), 512, 85);
    if (const auto profile = m["ctf"].value("profile", ""); !profile.empty())
      if (auto json = read_json(project_ / profile); json.is_object()) m["profile"] = std::move(json);
  }
}

Json Writer::micrographs(const Json& snapshot) {
  std::map<std::string, Json> rows;  // by subject
  std::vector<std::pair<std::string, std::string>> order;
  for (const auto& item : source_items(snapshot)) {
    const auto subject = item.at("subject").get<std::string>();
    rows[subject] = {{"name", item.at("record").value("name", subject)}, {"status", "pending"}, {"reason", ""}};
    if (item.at("record").contains("exposure")) rows[subject]["place"] = item.at("record").at("exposure");
    order.emplace_back(item.value("order", ""), subject);
  }
  const auto row = [&](const Json& item) -> Json* {
    const auto found = rows.find(item.at("subject").get<std::string>());
    return found == rows.end() ? nullptr : &found->second;
  };
  const auto attach = [&](std::string_view kind, const char* name) {
    for (const auto& set : made_sets(snapshot, kind))
      for (const auto& item : set.items())
        if (auto* r = row(item)) (*r)[name] = item.at("record");
  };
  for (const auto& set : made_sets(snapshot, Motion::kind))
    for (const auto& item : set.items())
      if (auto* r = row(item); r != nullptr && !r->contains("motion"))
        (*r)["motion"] = item.at("record");  // of several alignments the first one's: others check it
  attach(CtfFit::kind, "ctf");               // of several steps the last one's: a consensus after its estimates
  for (const auto& set : made_sets(snapshot, CtfFit::kind))
    for (const auto& item : set.items())
      if (auto* r = row(item)) (*r)["estimates"].push_back(estimate_of(item.at("record")));
  attach(Detector::kind, "camera");
  attach(MicrographMask::kind, "mask");
  attach(Micrograph::kind, "image");
  attach(Coordinates::kind, "coordinates");
  for (auto& [subject, r] : rows)
    if (r.contains("coordinates")) r["count"] = r["coordinates"].value("count", 0);
  for (const auto& set : made_sets(snapshot, Particles::kind))
    if (set.port() != "set_aside")
      for (const auto& item : set.items())
        if (auto* r = row(item)) (*r)["count"] = item.at("record").value("count", 0);

  // Kept: arrived in the last set that looks at single areas.
  const Json* last = nullptr;
  for (const auto& set : all_sets(snapshot))
    if (set.step->at("shape") != "source" && set.port() != "set_aside" && !set.items().empty() &&
        row(set.items().front()) != nullptr)
      last = &set.items();
  for (const auto& item : last != nullptr ? *last : empty_list)
    if (auto* r = row(item)) (*r)["status"] = "kept";
  for (const auto& step : snapshot.at("steps")) {
    for (const auto& decision : step.at("decisions"))
      if (auto* r = row(decision); r != nullptr && !decision.at("accepted")) {
        (*r)["status"] = "set_aside";
        (*r)["reason"] = decision.value("reason", "");
      }
    for (const auto& failure : step.at("failures"))
      if (auto* r = row(failure)) {
        (*r)["status"] = "failed";
        (*r)["reason"] = failure.value("message", "");
      }
  }
  for (const auto& file : snapshot.contains("files") ? snapshot.at("files") : empty_list)
    if (file.at("state") == "broken") {  // never became an item
      const auto path = file.at("path").get<std::string>();
      order.emplace_back(path, path);
      rows[path] = {{"name", std::filesystem::path(path).filename().string()},
                    {"status", "failed"},
                    {"reason", file.value("reason", "")}};
    }

  Json list = Json::array();
  std::size_t index = 0;
  for (const auto& [key, subject] : order) {
    auto& m = rows[subject];
    const bool detailed =
        order.size() <= detailed_micrographs || order.size() - index <= detailed_micrographs || index == 0;
    ++index;
    add_pictures(m, detailed);
    m.erase("image");
    m.erase("coordinates");
    list.push_back(std::move(m));
  }
  return list;
}

Json Writer::classes(const Json& snapshot) {
  const Json* found = nullptr;
  for (const auto& set : made_sets(snapshot, Classes::kind))
    if (const auto* item = latest(set.items()))
      if (found == nullptr || item->at("record").value("particle_count", 0) >= found->value("particle_count", 0))
        found = &item->at("record");
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
      Json entry = {{"index", c + 1},
                    {"count", count},
                    {"image", png_uri(image, static_cast<float>(quantile(image, 0.02)),
                                      static_cast<float>(quantile(image, 0.998)))}};
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
  return {{"version", record.version},
          {"particle_count", record.particle_count},
          {"pixel_size_A", record.pixel_size.value()},
          {"list", list}};
}

Json Writer::volumes(const Json& snapshot) {
  Json list = Json::array();
  for (const auto& set : made_sets(snapshot, VolumeMap::kind)) {
    const auto* item = latest(set.items());
    if (item == nullptr) continue;
    const auto record = record_from_json<VolumeMap>(item->at("record"));
    try {
      const auto volume = io::read_volume(project_ / record.volume);
      Json entry = {{"name", set.title()},
                    {"particle_count", record.particle_count},
                    {"symmetry", record.symmetry},
                    {"resolution_A", record.resolution.value()},
                    {"side_A", record.pixel_size.value() * record.box}};
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
  const auto& project = snapshot.at("project");
  Json data = {{"version", version_},
               {"updated", now_text()},
               {"state", project.value("state", "")},
               {"subtitle", subtitle(snapshot)},
               {"title", title(snapshot)},
               {"warnings", warnings(snapshot)},
               {"parameters", parameters(snapshot)},
               {"steps", steps(snapshot)}};
  data["micrographs"] = micrographs(snapshot);
  data["classes"] = classes(snapshot);
  data["volumes"] = volumes(snapshot);
  data["limits"] = limits(snapshot);
  data["funnels"] = {subject_funnel(snapshot), particle_funnel(snapshot)};
  data["summary"] = summary(data["micrographs"], data["classes"], data["volumes"]);

  std::string html(page_template());
  const std::string mark = "/*DATA*/";
  const auto at = html.find(mark);
  expect(at != std::string::npos, "the page has a place for its data");
  html.replace(at, mark.size(), embeddable(data));
  write_text(path, html);
}

}  // namespace frazil::report
