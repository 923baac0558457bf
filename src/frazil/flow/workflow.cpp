#include "frazil/flow/workflow.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "frazil/base/hash.hpp"
#include "frazil/base/nearest.hpp"
#include "frazil/flow/reading.hpp"
#include "frazil/flow/settings.hpp"
#include "frazil/flow/substitution.hpp"
#include "frazil/params/json_depth.hpp"

namespace frazil::flow {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct Draft {  // a step between its text and the plan
  std::string name;
  Json json;
  const Protocol* protocol = nullptr;
  bool enabled = true;
  std::vector<std::pair<std::string, std::vector<std::string>>> inputs;
  std::vector<std::string> where;
};

std::vector<std::string> references(const Json& json, const std::string& place, std::vector<Problem>& problems) {
  std::vector<std::string> list;
  if (json.is_string())
    list.push_back(json.get<std::string>());
  else if (json.is_array() && std::all_of(json.begin(), json.end(), [](const Json& j) { return j.is_string(); }))
    for (const auto& entry : json) list.push_back(entry.get<std::string>());
  else
    problems.push_back({place, "must be \"step.port\" or a list of them, not " + json.dump()});
  return list;
}

Draft draft_step(const std::string& name, const Json& json, const Registry& registry, std::vector<Problem>& problems) {
  const std::string place = "steps." + name;
  Draft draft{name, json, nullptr, true, {}, {}};
  unknown_keys(json,
               {"title", "protocol", "params", "inputs", "where", "trigger", "optional", "enabled", "executor",
                "threads", "gpus", "device"},
               place, problems);
  const auto protocol = text_at(json, "protocol", place, problems);
  try {
    draft.protocol = &registry.at(protocol);
  } catch (const Error& error) {
    problems.push_back({place + ".protocol", error.what()});
  }
  if (json.contains("enabled")) {
    if (json["enabled"].is_boolean())
      draft.enabled = json["enabled"].get<bool>();
    else
      problems.push_back({place + ".enabled", "must be true or false, not " + json["enabled"].dump()});
  }
  const auto inputs = json.find("inputs");
  if (inputs != json.end() && !inputs->is_object())
    problems.push_back({place + ".inputs", "must be an object of port: \"step.port\""});
  if (inputs != json.end() && inputs->is_object())
    for (const auto& [port, from] : inputs->items())
      draft.inputs.emplace_back(port, references(from, place + ".inputs." + port, problems));
  if (json.contains("where")) draft.where = references(json["where"], place + ".where", problems);
  return draft;
}

Trigger parse_trigger(const Json& step, const std::string& place, Shape shape, std::vector<Problem>& problems) {
  Trigger trigger;
  if (takes_lists(shape)) trigger.mode = Trigger::Mode::closed;
  const auto found = step.find("trigger");
  if (found == step.end()) return trigger;
  const auto here = place + ".trigger";
  if (!found->is_object()) {
    problems.push_back({here, "must be an object with \"mode\""});
    return trigger;
  }
  unknown_keys(*found, {"mode", "count", "of", "at_least", "every_s", "approve", "stops"}, here, problems);
  if (shape == Shape::source) problems.push_back({here, "a source has no trigger"});
  if (const auto approve = found->value("approve", Json(false)); approve.is_boolean())
    trigger.approve = approve.get<bool>();
  else
    problems.push_back({here + ".approve", "must be true or false, not " + approve.dump()});
  const auto positive = [&](const char* key) {
    const auto value = found->value(key, Json());
    if (value.is_number() && value.get<double>() > 0) return value.get<double>();
    if (!value.is_null()) problems.push_back({here + "." + key, "must be a number above 0, not " + value.dump()});
    return 0.0;
  };
  trigger.of = text_at(*found, "of", here, problems);
  trigger.at_least = positive("at_least");
  const auto mode = text_at(*found, "mode", here, problems);
  if (mode.empty() && (trigger.approve || trigger.at_least > 0) && !found->contains("count") &&
      !found->contains("every_s"))
    return trigger;
  if (mode == "static")
    trigger.mode = Trigger::Mode::first;
  else if (mode == "dynamic")
    trigger.mode = Trigger::Mode::dynamic;
  else if (mode == "batches")
    trigger.mode = Trigger::Mode::batches;
  else if (mode == "closed")
    trigger.mode = Trigger::Mode::closed;
  else
    problems.push_back({here + ".mode", "must be static, dynamic, batches or closed, not \"" + mode + "\""});
  trigger.count = positive("count");
  trigger.every_s = positive("every_s");
  if (trigger.mode != Trigger::Mode::closed && trigger.count == 0 && trigger.every_s == 0 &&
      !found->contains("count") && !found->contains("every_s"))
    problems.push_back({here, "needs \"count\", \"every_s\" or both"});
  if (trigger.count == 0) trigger.count = std::numeric_limits<double>::infinity();
  return trigger;
}

int find_output(const Protocol& protocol, std::string_view port) {
  for (std::size_t i = 0; i < protocol.outputs.size(); ++i)
    if (protocol.outputs[i].name == port) return static_cast<int>(i);
  return -1;
}

struct Target {
  std::string step;
  int port = -1;
};

/// Splits and resolves "step.port" (or "step" for its first port). An empty `step` means a problem was reported.
Target resolve(const std::string& reference, const std::map<std::string, const Draft*>& drafts,
               const std::string& place, std::vector<Problem>& problems) {
  const auto dot = reference.rfind('.');
  auto step = dot == std::string::npos ? reference : reference.substr(0, dot);
  const auto found = drafts.find(step);
  if (found == drafts.end()) {
    std::vector<std::string> names;
    for (const auto& [name, draft] : drafts) names.push_back(name);
    problems.push_back({place, "there is no step \"" + step + "\"" + did_you_mean(step, names)});
    return {};
  }
  if (found->second->protocol == nullptr) return {};
  const auto& protocol = *found->second->protocol;
  const int port = dot == std::string::npos ? 0 : find_output(protocol, reference.substr(dot + 1));
  if (port < 0) {
    problems.push_back({place, fmt::format("{} ({}) has no output \"{}\"; it has {}", step, protocol.name,
                                           reference.substr(dot + 1), port_names(protocol.outputs))});
    return {};
  }
  return {step, port};
}

/// Order in which every step follows its inputs, ties in the order of the file; steps on a cycle are left out.
std::vector<const Draft*> topological(const std::vector<Draft>& drafts,
                                      const std::map<std::string, std::vector<std::string>>& needs) {
  std::vector<const Draft*> order;
  std::map<std::string, bool> placed;
  for (bool progress = true; progress;) {
    progress = false;
    for (const auto& draft : drafts) {
      if (placed[draft.name]) continue;
      const auto& list = needs.at(draft.name);
      if (!std::all_of(list.begin(), list.end(), [&](const std::string& n) { return placed[n]; })) continue;
      order.push_back(&draft);
      placed[draft.name] = progress = true;
    }
  }
  return order;
}

/// Switches off what cannot run without a disabled step: a required port left without any source.
void switch_off(std::vector<Draft>& drafts) {
  const auto enabled = [&](const std::string& reference) {
    const auto step = reference.substr(0, reference.rfind('.'));
    for (const auto& draft : drafts)
      if (draft.name == step) return draft.enabled;
    return true;  // unknown: reported elsewhere
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (auto& draft : drafts) {
      if (!draft.enabled) continue;
      std::erase_if(draft.where, [&](const std::string& r) { return !enabled(r); });
      for (auto& [port, from] : draft.inputs) {
        const bool had = !from.empty();
        std::erase_if(from, [&](const std::string& r) { return !enabled(r); });
        bool optional = false;
        if (draft.protocol != nullptr)
          for (const auto& info : draft.protocol->inputs) optional = optional || (info.name == port && info.optional);
        if (had && from.empty() && !optional) {
          draft.enabled = false;
          changed = true;
        }
      }
      std::erase_if(draft.inputs, [](const auto& input) { return input.second.empty(); });
    }
  }
  std::erase_if(drafts, [](const Draft& d) { return !d.enabled; });
}

/// A parameter handed on as it is must be measured as the protocol wants it.
void check_units(const Workflow& workflow, const std::vector<Draft>& drafts, std::vector<Problem>& problems) {
  for (const auto& [name, step] : workflow.steps) {
    const auto draft = std::find_if(drafts.begin(), drafts.end(),
                                    [&, step_name = name](const Draft& d) { return d.name == step_name; });
    const auto params = step.find("params");
    if (draft == drafts.end() || draft->protocol == nullptr || params == step.end() || !params->is_object()) continue;
    for (const auto& field : draft->protocol->params)
      for (const auto& parameter : workflow.parameters)
        if (!parameter.unit.empty() && !field.unit.empty() && parameter.unit != field.unit &&
            params->value(field.name, Json()) == "${" + parameter.name + "}")
          problems.push_back({fmt::format("steps.{}.params.{}", name, field.name),
                              fmt::format("is measured in {}, but the parameter {} in {}", field.unit, parameter.name,
                                          parameter.unit)});
  }
}

/// What is wrong with a parameter of the workflow is said there, and not once more of each step that takes it.
void drop_echoes(const Workflow& workflow, std::vector<Problem>& problems) {
  const auto has = [&](const std::string& place) {
    return std::any_of(problems.begin(), problems.end(), [&](const Problem& p) { return p.place == place; });
  };
  std::vector<std::pair<std::string, std::string>> echoes;  // place, and how the text begins
  for (const auto& [step, json] : workflow.steps)
    if (const auto params = json.find("params"); params != json.end() && params->is_object())
      for (const auto& [field, value] : params->items())
        for (const auto& parameter : workflow.parameters)
          if (value == "${" + parameter.name + "}" && has("parameters." + parameter.name))
            echoes.emplace_back("steps." + step + ".params", field + " ");
  std::erase_if(problems, [&](const Problem& problem) {
    return std::any_of(echoes.begin(), echoes.end(), [&](const auto& echo) {
      return problem.place == echo.first && problem.text.starts_with(echo.second);
    });
  });
}

void merge_roots(std::vector<int>& into, const std::vector<int>& more) {
  for (const int root : more)
    if (std::find(into.begin(), into.end(), root) == into.end()) into.push_back(root);
  std::sort(into.begin(), into.end());
}

bool disjoint(const std::vector<int>& a, const std::vector<int>& b) {
  return std::none_of(a.begin(), a.end(), [&](int x) { return std::find(b.begin(), b.end(), x) != b.end(); });
}

/// Steps with the same title get their names behind it.
void tell_apart(std::vector<PlannedStep>& steps) {
  std::map<std::string, int> count;
  for (const auto& step : steps) ++count[step.title];
  for (auto& step : steps)
    if (count.at(step.title) > 1) step.title += " (" + step.name + ")";
}

/// Builds plan steps one after another, each after those it reads from.
class Planner {
 public:
  Planner(Plan& plan, const std::map<std::string, const Draft*>& drafts, std::vector<Problem>& problems,
          const std::string& device, FileHashes* files)
      : plan_(plan), drafts_(drafts), problems_(problems), device_(device), files_(files) {}

  void add(const Draft& draft) {
    const std::string place = "steps." + draft.name;
    const auto& protocol = *draft.protocol;
    PlannedStep step;
    step.name = draft.name;
    step.protocol = &protocol;
    step.title = text_at(draft.json, "title", place, problems_, protocol.title.empty() ? draft.name : protocol.title);
    step.params = draft.json.value("params", Json::object());
    step.trigger = parse_trigger(draft.json, place, protocol.shape, problems_);
    if (const auto trigger = draft.json.find("trigger");
        trigger != draft.json.end() && trigger->is_object() && trigger->contains("stops"))
      find_stopped(step, references(trigger->at("stops"), place + ".trigger.stops", problems_),
                   place + ".trigger.stops");
    step.optional = draft.json.value("optional", Json(false)) == true;
    resources(draft, step, place);
    for (const auto& problem : protocol.check(step.params)) problems_.push_back({place + ".params", problem});
    connect(draft, step, place);
    domains(step, place);
    needs(step);
    if (problems_.empty())
      step.key = hash_of({protocol.name, std::to_string(protocol.version), protocol.key(key_params(step))});
    if (step.device != cpu_device) step.key = hash_of({"device", step.device, step.key});
    if (step.by_person) step.key = hash_of({"person", step.key});  // an answer never stands for what is computed
    plan_.steps.push_back(std::move(step));
  }

 private:
  /// The parameters with contents in place of the names of files.
  [[nodiscard]] Json key_params(const PlannedStep& step) const {
    auto params = step.params;
    if (files_ == nullptr) return params;
    for (const auto& field : step.protocol->params)
      if (field.file && params.contains(field.name) && params[field.name].is_string())
        params[field.name] = files_->of(params[field.name].get<std::string>());
    return params;
  }

  void resources(const Draft& draft, PlannedStep& step, const std::string& place) {
    const auto executor = text_at(draft.json, "executor", place, problems_);
    if (executor != "" && executor != "local" && executor != "cluster" && executor != "person")
      problems_.push_back({place + ".executor", "must be local, cluster or person, not \"" + executor + "\""});
    const auto shape = step.protocol->shape;
    step.by_person = executor == "person";
    if (step.by_person && shape != Shape::map && shape != Shape::filter)
      problems_.push_back({place + ".executor", "a person answers for one item at a time, and " + step.protocol->name +
                                                    " takes many or none"});
    step.gpus = step.protocol->gpus;
    choose_device(draft, step, place);
    const auto whole = [&](const char* key, int& value) {
      const auto found = draft.json.find(key);
      if (found == draft.json.end()) return;
      if (found->is_number_integer() && found->get<int>() >= 0)
        value = found->get<int>();
      else
        problems_.push_back({place + "." + key, "must be a whole number, not " + found->dump()});
    };
    whole("threads", step.threads);
    whole("gpus", step.gpus);
  }

  /// The step's own device must be one of its protocol's; the workflow's is for those that have it.
  void choose_device(const Draft& draft, PlannedStep& step, const std::string& place) {
    auto name = text_at(draft.json, "device", place, problems_);
    const auto names = device_names(*step.protocol);
    if (name.empty() && std::find(names.begin(), names.end(), device_) != names.end()) name = device_;
    try {
      const auto device = device_of(*step.protocol, name);
      step.device = device.name;
      step.gpus = std::max(step.gpus, device.gpus);
    } catch (const Error& error) {
      problems_.push_back({place + ".device", error.what()});
    }
  }

  void needs(PlannedStep& step) const {
    if (step.inputs.empty()) return;
    if (step.trigger.at_least > 0)
      step.needs.push_back(
          {0, step.trigger.of, step.trigger.at_least, step.trigger.of.empty() ? "items" : step.trigger.of});
    if (!problems_.empty() || !step.protocol->needs) return;  // the protocol wants legal parameters
    for (auto& need : step.protocol->needs(step.params))
      for (std::size_t i = 0; i < step.inputs.size(); ++i)
        if (step.inputs[i].port == need.port)
          step.needs.push_back({static_cast<int>(i), std::move(need.field), need.at_least, std::move(need.of)});
  }

  std::vector<Endpoint> endpoints(const std::vector<std::string>& references, const std::string& place,
                                  const std::string& kind) {
    std::vector<Endpoint> list;
    for (const auto& reference : references) {
      const auto target = resolve(reference, drafts_, place, problems_);
      if (target.step.empty()) continue;
      const int step = plan_.find(target.step);
      if (step < 0) continue;  // on a cycle, or itself faulty: reported already
      const auto& port =
          plan_.steps[static_cast<std::size_t>(step)].protocol->outputs[static_cast<std::size_t>(target.port)];
      if (!kind.empty() && port.kind != kind)
        problems_.push_back({place, fmt::format("takes {}, but {} gives {}", kind, reference, port.kind)});
      list.push_back({step, target.port});
    }
    return list;
  }

  void connect(const Draft& draft, PlannedStep& step, const std::string& place) {
    for (const auto& info : step.protocol->inputs) {
      const auto given =
          std::find_if(draft.inputs.begin(), draft.inputs.end(), [&](const auto& i) { return i.first == info.name; });
      if (given == draft.inputs.end()) {
        if (!info.optional)
          problems_.push_back({place + ".inputs." + info.name, "is not connected (takes " + info.kind + ")"});
        continue;
      }
      step.inputs.push_back({info.name, endpoints(given->second, place + ".inputs." + info.name, info.kind),
                             info.optional, info.many, false});
    }
    for (const auto& [port, from] : draft.inputs)
      if (std::none_of(step.protocol->inputs.begin(), step.protocol->inputs.end(),
                       [&](const PortInfo& i) { return i.name == port; }))
        problems_.push_back(
            {place + ".inputs." + port, fmt::format("{} has no input of this name; it has {}", step.protocol->name,
                                                    port_names(step.protocol->inputs))});
    step.where = endpoints(draft.where, place + ".where", {});
  }

  /// Steps that the trigger stops must come before it, or they would have nothing to do with its members.
  void find_stopped(PlannedStep& step, const std::vector<std::string>& names, const std::string& place) {
    if (step.trigger.mode != Trigger::Mode::first && step.trigger.mode != Trigger::Mode::dynamic)
      problems_.push_back({place, "only static and dynamic triggers stop other steps"});
    for (const auto& name : names) {
      const int index = plan_.find(name);
      if (index < 0) {
        problems_.push_back({place, fmt::format("there is no step \"{}\" before this one", name)});
        continue;
      }
      const auto& stopped = plan_.steps[static_cast<std::size_t>(index)];
      if ((stopped.protocol->shape != Shape::map && stopped.protocol->shape != Shape::filter) ||
          stopped.trigger.mode != Trigger::Mode::none)
        problems_.push_back({place, name + " does not take its items one by one, so it cannot be stopped"});
      step.trigger.stops.push_back(index);
    }
  }

  void domains(PlannedStep& step, const std::string& place) {
    const int self = static_cast<int>(plan_.steps.size());
    std::vector<Endpoint> all;
    for (auto& input : step.inputs) {
      std::vector<int> roots;
      for (const auto& from : input.from) {
        merge_roots(roots, plan_.steps[static_cast<std::size_t>(from.step)].out_roots);
        step.depth = std::max(step.depth, plan_.steps[static_cast<std::size_t>(from.step)].depth + 1);
      }
      if (step.roots.empty())
        step.roots = roots;
      else if (disjoint(step.roots, roots))
        input.broadcast = true;
      else
        merge_roots(step.roots, roots);
    }
    for (std::size_t i = 0; i < step.where.size(); ++i)
      if (!step.roots.empty() &&
          disjoint(step.roots, plan_.steps[static_cast<std::size_t>(step.where[i].step)].out_roots))
        problems_.push_back(
            {fmt::format("{}.where[{}]", place, i), "this set has no subject in common with the inputs of the step"});
    const auto shape = step.protocol->shape;
    step.out_roots = shape == Shape::source || takes_lists(shape) ? std::vector<int>{self} : step.roots;
    step.versioned = !step.roots.empty() && std::all_of(step.roots.begin(), step.roots.end(), [&](int root) {
      return takes_lists(plan_.steps[static_cast<std::size_t>(root)].protocol->shape);
    });
    // The members of a batch are told apart by their place in each port's list: a list with holes would mix them up.
    if (takes_lists(shape))
      for (const auto& input : step.inputs)
        if (input.optional || input.many)
          problems_.push_back(
              {place + ".inputs." + input.port,
               fmt::format("{} gathers batches, whose inputs must all be there, one each; connect it in a step before",
                           step.protocol->name)});
    if (shape == Shape::map)
      for (const auto& port : step.protocol->outputs)
        if (port.many)
          problems_.push_back(
              {place, fmt::format("output {} of {} is a list of items; a workflow step gives at most one item a port",
                                  port.name, step.protocol->name)});
  }

  Plan& plan_;
  const std::map<std::string, const Draft*>& drafts_;
  std::vector<Problem>& problems_;
  const std::string& device_;
  FileHashes* files_;
};

}  // namespace

std::string describe(const std::vector<Problem>& problems) {
  std::string text;
  for (const auto& problem : problems) text += (text.empty() ? "" : "\n") + problem.place + ": " + problem.text;
  return text;
}

int Plan::find(std::string_view step) const {
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (steps[i].name == step) return static_cast<int>(i);
  return -1;
}

Workflow parse_workflow(std::string_view text, std::vector<Problem>& problems) {
  Workflow workflow;
  workflow.text = text;
  OrderedJson root;
  if (is_nested_deeper(text)) {
    problems.push_back({"workflow", fmt::format("is nested on more than {} levels", deepest_json)});
    return workflow;
  }
  try {
    root = OrderedJson::parse(text);
  } catch (const nlohmann::json::exception& error) {
    problems.push_back({"workflow", std::string("is not JSON: ") + error.what()});
    return workflow;
  }
  if (!root.is_object()) {
    problems.push_back({"workflow", "must be an object"});
    return workflow;
  }
  const auto json = Json::parse(text);
  unknown_keys(json, {"name", "title", "help", "generation", "device", "parameters", "steps", "monitors"}, "workflow",
               problems);
  workflow.name = text_at(json, "name", "workflow", problems, "workflow");
  workflow.title = text_at(json, "title", "workflow", problems, workflow.name);
  workflow.help = text_at(json, "help", "workflow", problems);
  workflow.device = text_at(json, "device", "workflow", problems);
  workflow.monitors = json.value("monitors", Json::array());
  if (!workflow.monitors.is_array()) {
    problems.push_back({"monitors", "must be a list"});
    workflow.monitors = Json::array();
  }
  const auto parameters = json.value("parameters", Json::array());
  if (!parameters.is_array())
    problems.push_back({"parameters", "must be a list"});
  else
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto place = fmt::format("parameters[{}]", i);
      if (!parameters[i].is_object()) {
        problems.push_back({place, "must be an object"});
        continue;
      }
      auto parameter = parse_parameter(parameters[i], place, problems);
      if (std::any_of(workflow.parameters.begin(), workflow.parameters.end(),
                      [&](const Parameter& p) { return p.name == parameter.name; }))
        problems.push_back({place, "there is another parameter " + parameter.name});
      workflow.parameters.push_back(std::move(parameter));
    }
  const auto steps = root.find("steps");
  if (steps == root.end() || !steps->is_object() || steps->empty())
    problems.push_back({"steps", "a workflow needs steps"});
  else
    for (const auto& [name, step] : steps->items()) {
      if (is_comment(name)) continue;
      if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") !=
                              std::string::npos)
        problems.push_back({"steps." + name, "a step's name holds letters, digits, - and _ only"});
      if (!step.is_object())
        problems.push_back({"steps." + name, "must be an object"});
      else
        workflow.steps.emplace_back(name, Json::parse(step.dump()));
    }
  return workflow;
}

Plan make_plan(const Workflow& workflow, const Registry& registry, const Json& values, std::vector<Problem>& problems,
               bool check_only, FileHashes* files) {
  Plan plan;
  plan.name = workflow.name;
  plan.title = workflow.title;
  plan.values = fill_values(workflow, registry, values, problems, check_only);
  const Substitution substitute(plan.values, problems);
  std::vector<Draft> drafts;
  for (const auto& [name, json] : workflow.steps) {
    auto step = substitute(json, "steps." + name);
    put_step_values(plan.values, name, step);
    drafts.push_back(draft_step(name, step, registry, problems));
  }
  check_units(workflow, drafts, problems);
  std::set<std::string> all_steps;
  for (const auto& draft : drafts) all_steps.insert(draft.name);
  switch_off(drafts);

  std::map<std::string, const Draft*> by_name;
  for (const auto& draft : drafts) by_name[draft.name] = &draft;
  std::map<std::string, std::vector<std::string>> needs;
  for (const auto& draft : drafts) {
    auto& list = needs[draft.name];
    const auto note = [&](const std::vector<std::string>& references) {
      for (const auto& reference : references)
        if (const auto step = reference.substr(0, reference.rfind('.')); by_name.contains(step)) list.push_back(step);
    };
    for (const auto& [port, from] : draft.inputs) note(from);
    note(draft.where);
  }
  const auto order = topological(drafts, needs);
  if (order.size() < drafts.size()) {
    std::string cycle;
    for (const auto& draft : drafts)
      if (std::find(order.begin(), order.end(), &draft) == order.end())
        cycle += (cycle.empty() ? "" : ", ") + draft.name;
    problems.push_back({"steps", "these steps wait for each other: " + cycle});
  }
  const auto computes_there = [&](const Protocol& protocol) {
    const auto names = device_names(protocol);
    return std::find(names.begin(), names.end(), workflow.device) != names.end();
  };
  if (!workflow.device.empty() && std::none_of(registry.all().begin(), registry.all().end(), computes_there))
    problems.push_back({"device", "nothing computes on \"" + workflow.device + "\""});
  Planner planner(plan, by_name, problems, workflow.device, files);
  for (const auto* draft : order)
    if (draft->protocol != nullptr) planner.add(*draft);
  tell_apart(plan.steps);
  add_monitors(plan, substitute(workflow.monitors, "monitors"), all_steps, problems);
  drop_echoes(workflow, problems);
  return plan;
}

std::vector<std::pair<std::string, std::string>> named_files(const Plan& plan) {
  std::vector<std::pair<std::string, std::string>> list;
  for (const auto& step : plan.steps)
    for (const auto& field : step.protocol->params)
      if (const auto value = step.params.find(field.name);
          field.file && value != step.params.end() && value->is_string() && !value->get<std::string>().empty())
        list.emplace_back(step.name + "." + field.name, value->get<std::string>());
  return list;
}

}  // namespace frazil::flow
