#include "frazil/flow/protocol.hpp"

#include <algorithm>
#include <cctype>

#include "frazil/base/nearest.hpp"
#include "frazil/params/values.hpp"

namespace frazil::flow {
namespace {

Json ports_json(const std::vector<PortInfo>& ports) {
  Json list = Json::array();
  for (const auto& port : ports)
    list.push_back({{"name", port.name}, {"kind", port.kind}, {"optional", port.optional}, {"many", port.many}});
  return list;
}

}  // namespace

namespace detail {

void refuse(std::string_view port, const std::vector<std::string>& problems) {
  if (problems.empty()) return;
  std::string all;
  for (const auto& problem : problems) all += (all.empty() ? "" : "; ") + problem;
  throw Error(ErrorCode::bad_input, "{}: {}", port, all);
}

Json checked_decision(const Decision& decision) {
  auto json = decision_to_json(decision);
  refuse("decision", record_problems<Decision>(json));
  return json;
}

namespace {

/// The file that a record is about, or its name.
std::string subject_of(const Json& record) {
  for (const auto* key : {"path", "star", "coordinates", "volume", "movie", "micrograph", "name"})
    if (const auto found = record.find(key);
        found != record.end() && found->is_string() && !found->get<std::string>().empty())
      return found->get<std::string>();
  return {};
}

}  // namespace

void rethrow_named(const Error& error, const Records& inputs) {
  const std::string_view text = error.what();
  const bool some = !inputs.empty() && !inputs.front().second.empty();
  const auto subject = some ? subject_of(inputs.front().second.front()) : std::string();
  const auto name = std::filesystem::path(subject).filename().string();
  if (name.empty() || error.code() == ErrorCode::cancelled || text.find(name) != std::string_view::npos) throw error;
  const auto others = inputs.front().second.size() - 1;
  throw Error(error.code(), "{}{}: {}", subject, others > 0 ? fmt::format(" and {} others", others) : std::string(),
              text);
}

}  // namespace detail

void Registry::add(Protocol protocol) {
  expect(find(protocol.name) == nullptr, "protocol names are unique");
  protocols_.push_back(std::move(protocol));
}

const Protocol* Registry::find(std::string_view name) const {
  const auto found =
      std::find_if(protocols_.begin(), protocols_.end(), [&](const Protocol& p) { return p.name == name; });
  return found == protocols_.end() ? nullptr : &*found;
}

const Protocol& Registry::at(std::string_view name) const {
  if (const auto* protocol = find(name)) return *protocol;
  std::vector<std::string> names;
  for (const auto& protocol : protocols_) names.push_back(protocol.name);
  throw Error(ErrorCode::not_found, "there is no protocol {}{}", name, did_you_mean(name, names));
}

std::string default_port(std::string_view kind) {
  std::string name;
  for (const char c : kind) {
    if (std::isupper(static_cast<unsigned char>(c)) && !name.empty()) name += '_';
    name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (!name.ends_with("s") && name != "motion") name += 's';
  return name;
}

std::vector<PortInfo> filter_outputs(const std::vector<PortInfo>& inputs) {
  PortInfo port;
  if (!inputs.empty()) port = inputs.front();
  port.optional = true;
  port.many = false;
  port.name = "set_aside";
  auto accepted = port;
  accepted.name = "accepted";
  return {accepted, port};
}

std::vector<std::string> device_names(const Protocol& protocol) {
  std::vector<std::string> names;
  for (const auto& device : protocol.devices) names.push_back(device.name);
  return names.empty() ? std::vector{std::string(cpu_device)} : names;
}

Device device_of(const Protocol& protocol, std::string_view name) {
  if (name.empty()) name = cpu_device;
  for (const auto& device : protocol.devices)
    if (device.name == name) return device;
  if (protocol.devices.empty() && name == cpu_device) return {std::string(cpu_device)};
  throw Error(ErrorCode::unsupported, "{} computes on {}, not on \"{}\"", protocol.name,
              fmt::join(device_names(protocol), ", "), name);
}

Json describe(const Protocol& protocol) {
  Json params = Json::array();
  for (const auto& field : protocol.params) params.push_back(field_to_json(field));
  return {{"name", protocol.name},
          {"title", protocol.title},
          {"version", protocol.version},
          {"shape", name_of(protocol.shape)},
          {"state", protocol.state == State::stable ? "stable" : "first version"},
          {"thin", protocol.thin},
          {"cites", protocol.cites},
          {"help", protocol.help},
          {"inputs", ports_json(protocol.inputs)},
          {"outputs", ports_json(protocol.outputs)},
          {"devices", device_names(protocol)},
          {"parameters", params},
          {"schema", json_schema(protocol.params)}};
}

const std::vector<Json>* detail::find_port(const Records& records, std::string_view name) {
  for (const auto& [port, list] : records)
    if (port == name) return &list;
  return nullptr;
}

}  // namespace frazil::flow
