#include "frazil/engine/star_writer.hpp"

#include <algorithm>

#include "frazil/base/files.hpp"
#include "frazil/engine/accountant.hpp"

namespace frazil::engine {

void StarWriter::write(const State& state) {
  if (head_ != state.head) {
    head_ = state.head;
    written_.assign(state.steps.size(), -1);
    tables_ = tables_of_ ? tables_of_(head_->plan) : std::vector<flow::KeptTable>();
    kept_written_ = -1;
  }
  for (std::size_t i = 0; i < state.steps.size(); ++i) {
    if (written_[i] == state.steps[i]->sets_changed) continue;
    write_step(state, static_cast<int>(i));
    written_[i] = state.steps[i]->sets_changed;
  }
  if (kept_written_ == state.sequence) return;
  for (const auto& table : tables_) write_kept(state, table);
  kept_written_ = state.sequence;
}

void StarWriter::write_file(const State& state, const std::string& name, const SetView& view) {
  const auto text = format_(view);
  if (!text) return;
  const auto file = state.head->folder / "star" / (name + ".star");
  if (!std::filesystem::exists(file) || read_text(file) != *text) write_text(file, *text);
}

namespace {

/// Why an item is not among those kept, as a record.
Json aside_record(const State& state, store::Reader& reader, int subject, const Fate& fate) {
  const auto& who = state.subject(subject);
  std::string reason = fate.person != nullptr ? fate.person->reason : fate.reason;
  if (fate.step >= 0 && fate.person == nullptr)
    if (const auto task = state.step(fate.step).tasks[subject]; task > 0) {
      if (fate.standing == Standing::failed)
        reader.for_task(task, [&](const store::TaskRow& row) { reason = row.message; });
      else if (const auto row = reader.decision_of_task(task); row && !row->reason.empty())
        reason = row->reason;
    }
  return {{"file", "raw/" + state.planned(who.root).name + "/" + who.path},
          {"name", who.label},
          {"state", frazil::name_of(fate.standing)},
          {"step", fate.step < 0 ? std::string() : state.planned(fate.step).name},
          {"reason", std::move(reason)}};
}

}  // namespace

void StarWriter::write_kept(const State& state, const flow::KeptTable& table) {
  const auto is_there = [&](const flow::Endpoint& from) {
    return state.step(from.step).ports[static_cast<std::size_t>(from.port)].count > 0;
  };
  const auto from = std::find_if(table.from.begin(), table.from.end(), is_there);
  if (from == table.from.end()) return;
  const auto& planned = state.planned(from->step);
  const auto& port = planned.protocol->outputs[static_cast<std::size_t>(from->port)];
  SetView view{planned.name, planned.protocol->name, port.name, port.kind, state.head->folder, {}};
  if (table.which == flow::KeptTable::Which::others) {
    view.kind = "SetAside";
    for (const int subject : *state.by_order) {
      if (state.subject(subject).root != from->step) continue;
      const auto fate = fate_of(state, subject);
      if (fate.standing != Standing::kept && fate.standing != Standing::in_work)
        view.records.push_back(aside_record(state, *reader_, subject, fate));
    }
  } else {
    auto members = state.members(from->step, from->port);
    if (flow::gives_versions(planned) && members.size() > 1) members.erase(members.begin(), members.end() - 1);
    for (const int subject : members)
      if (table.which == flow::KeptTable::Which::all || fate_of(state, subject).standing == Standing::kept)
        view.records.push_back(Json::parse(
            reader_->record(state.step(from->step).ports[static_cast<std::size_t>(from->port)].items[subject])));
  }
  write_file(state, table.name, view);
}

void StarWriter::write_step(const State& state, int index) {
  const auto& planned = state.planned(index);
  const auto& outputs = planned.protocol->outputs;
  for (std::size_t port = 0; port < outputs.size(); ++port) {
    SetView view{planned.name, planned.protocol->name, outputs[port].name, outputs[port].kind, state.head->folder, {}};
    auto members = state.members(index, static_cast<int>(port));
    if (flow::gives_versions(planned) && members.size() > 1) members.erase(members.begin(), members.end() - 1);
    for (const int subject : members)
      view.records.push_back(Json::parse(reader_->record(state.step(index).ports[port].items[subject])));
    write_file(state, port == 0 ? planned.name : planned.name + "." + outputs[port].name, view);
  }
}

}  // namespace frazil::engine
