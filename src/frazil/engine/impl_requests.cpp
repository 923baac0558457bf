// What people ask an engine to do: take an item back, set it aside, other parameters, stop; and reading while nothing
// runs.
#include "frazil/base/words.hpp"
#include "frazil/engine/impl.hpp"

namespace frazil::engine {

// ---- while nothing runs -----------------------------------------------------------------------------------------

Reading Engine::Impl::reading() {
  const bool is_first = !local_;
  if (is_first) local_.emplace(std::make_unique<store::Reader>(ledger_.store()));
  if (publisher_) return {publisher_->state(), local_->reader()};  // it has run: what it told last
  if (is_first && state_ != "finished") show_closed();
  if (local_state_ == nullptr || ledger_.has_changes()) {
    auto [changes, head] = ledger_.take_changes();
    local_->apply(changes, std::move(head), live());
    while (local_->read_numbers(10)) {
    }
    local_state_ = local_->publish();
  }
  return {local_state_, local_->reader()};
}

Json Engine::Impl::request(const Json& request) {
  if (!local_service_) {
    Service::Doors doors{[this] { return reading().state; },
                         [this](const Command& command) { return execute(command).answer; }};
    local_service_ =
        std::make_unique<Service>(std::move(doors), std::make_unique<store::Reader>(ledger_.store()), registry_);
  }
  return local_service_->serve(request);
}

/// Nobody watches the folders now: a stream that had ended is shown as ended.
void Engine::Impl::show_closed() {
  for (std::size_t i = 0; i < ledger_.plan().steps.size(); ++i)
    if (ledger_.is_closed_for_good(static_cast<int>(i))) ledger_.show_closed(static_cast<int>(i));
  ledger_.settle();
  if (ledger_.graph().all_closed()) state_ = "finished";
}

// ---- commands ---------------------------------------------------------------------------------------------------

/// Carries a command out and makes it durable.
Done Engine::Impl::execute(const Command& command) {
  using Kind = Command::Kind;
  if (lost_ && command.kind != Kind::stop)
    throw Error(ErrorCode::unsupported, "nothing can be changed now: {}", disk_problem_);
  try {
    return carry_out(command);
  } catch (
      const Error& error) {  // a wish that cannot be served has changed nothing; what could not be written, perhaps
    if (error.code() != ErrorCode::io && error.code() != ErrorCode::resource) throw;
    if (publisher_) {
      lose(error);
    } else {
      ledger_.rollback();
      load();
    }
    throw;
  }
}

Done Engine::Impl::carry_out(const Command& command) {
  using Kind = Command::Kind;
  Done done;
  switch (command.kind) {
    case Kind::restore:
      done.answer = ledger_.restore(command);
      break;
    case Kind::set_aside:
      done.answer = ledger_.set_aside(command);
      break;
    case Kind::approve:
      done.answer = approve(command);
      break;
    case Kind::answer:
      done.answer = answer(command);
      break;
    case Kind::cancel:
      done.answer = cancel(command);
      break;
    case Kind::set:
      done.answer = set(command);
      break;
    case Kind::acknowledge:
      done.answer = acknowledge(command);
      break;
    case Kind::pause:
    case Kind::resume:
      paused_ = command.kind == Kind::pause;
      ledger_.add_event(paused_ ? "paused" : "resumed", "", "", "by hand", command.actor);
      done.answer["note"] = paused_ ? fmt::format("paused: nothing new starts, {} still run; frazil resume goes on",
                                                  counted(status().running, "task"))
                                    : "goes on";
      break;
    case Kind::close:
      close_by_hand();
      ledger_.add_event("closing", "", "", "no more files will come, by hand", command.actor);
      done.answer["note"] = "closed: no more files are waited for; one that comes all the same opens it again";
      break;
    case Kind::stop:
      if (!lost_) ledger_.add_event("stopping", "", "", "by hand", command.actor);
      if (pool_) begin_stop(End::stopped);
      break;
  }
  if (!lost_) commit();
  if (publisher_ && !lost_) feed(true);
  done.sequence = ledger_.sequence();
  return done;
}

void Engine::Impl::close_by_hand() {
  for (std::size_t i = 0; i < ledger_.plan().steps.size(); ++i) {
    if (ledger_.plan().steps[i].protocol->shape != flow::Shape::source) continue;
    intake_->close(static_cast<int>(i));
    ledger_.note_end(static_cast<int>(i));
  }
}

Json Engine::Impl::approve(const Command& command) {
  const auto& text = command.step;
  const int index = ledger_.plan().find(text);
  if (index < 0 || !step(index).trigger.approve) {
    std::string names;
    for (const auto& planned : ledger_.plan().steps)
      if (planned.trigger.approve) names += (names.empty() ? "" : ", ") + planned.name;
    throw Error(ErrorCode::bad_input, "\"{}\" is no step that waits for a person; {}", text,
                names.empty() ? "this workflow has none" : "those are: " + names);
  }
  if (!ledger_.graph().is_held(index)) throw Error(ErrorCode::bad_input, "{} is approved already", text);
  ledger_.approve(index, command.actor);
  return {{"changed", Json::array({{{"step", step(index).name}, {"label", step(index).name}, {"what", "approved"}}})}};
}

/// Parameters of a project at work. What runs goes on if it is still asked for; everything else follows from what is
/// stored.
Json Engine::Impl::set(const Command& command) {
  auto set = ledger_.set(command);
  if (set.is_anew) {
    load();
  } else {
    for (const int index : set.steps) dispatcher_->rename(index, step(index).key);
    ledger_.follow_params(set.steps, command);
  }
  return {{"changed", std::move(set.changed)}, {"values", std::move(set.values)}};
}

}  // namespace frazil::engine
