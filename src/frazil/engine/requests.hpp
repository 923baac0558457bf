// Every request that an engine answers, declared once: from these structs follow the command socket, its description in
// docs/api/engine-socket.json, and whatever else will carry them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "frazil/params/fields.hpp"

namespace frazil::engine {

/// What is said of a request.
struct RequestInfo {
  std::string_view name, help;
  std::string_view answer;    ///< names of what the answer holds, separated by spaces
  bool writes = false;        ///< changes something: has an actor
  bool takes_values = false;  ///< has a member `values`: an object of parameters
};

struct StatusRequest {
  static constexpr RequestInfo info{"status", "Counts of every step and of the whole.", "ok status"};
  static constexpr auto fields() { return std::tuple(); }
};

struct SettingsRequest {
  static constexpr RequestInfo info{"settings", "The values in force, and who has changed them when.", "ok settings"};
  static constexpr auto fields() { return std::tuple(); }
};

struct SnapshotRequest {
  static constexpr RequestInfo info{
      "snapshot", "Everything: steps, sets with their records, decisions, failures, files, events.", "ok snapshot"};
  static constexpr auto fields() { return std::tuple(); }
};

struct WhyRequest {
  static constexpr RequestInfo info{"why", "Where an item is and which decisions led there.", "ok items files"};
  std::string item;
  static constexpr auto fields() {
    return std::tuple(field(&WhyRequest::item, "item", "Name, file, path, part of a name, or first digits of an id"));
  }
};

struct ItemRequest {
  static constexpr RequestInfo info{
      "item", "An item whole: record, decisions, files, what it came from, what became of it.", "ok items sequence"};
  std::string item;
  static constexpr auto fields() {
    return std::tuple(field(&ItemRequest::item, "item", "Name, file, path, part of a name, or first digits of an id"));
  }
};

struct ItemsRequest {
  static constexpr RequestInfo info{"items", "A page of the items of a step, sorted by any number, with conditions.",
                                    "ok total from columns items read sequence"};
  std::string step, port;
  int from = 0, count = 100;
  std::string sort;
  std::vector<std::string> where, columns;
  static constexpr auto fields() {
    using R = ItemsRequest;
    return std::tuple(
        field(&R::step, "step", "Name of the step").required(),
        field(&R::port, "port", "Which of its sets; empty: whatever came near the step"),
        field(&R::from, "from", "First row of the page").range(0, 1'000'000'000),
        field(&R::count, "count", "Rows of the page").range(0, 10'000),
        field(&R::sort, "sort", "Column; with - in front highest first; empty: in the order people count"),
        field(&R::where, "where", "Conditions, all of them: \"name < value\", with < <= > >= = != or ~"),
        field(&R::columns, "columns", "Numbers wanted, of another step as step:name; empty: all of the set's"));
  }
};

struct SeriesRequest {
  static constexpr RequestInfo info{"series", "Columns of numbers of a step, for plots.",
                                    "ok count labels columns read sequence"};
  std::string step, port, sort;
  std::vector<std::string> where, columns;
  static constexpr auto fields() {
    using R = SeriesRequest;
    return std::tuple(
        field(&R::step, "step", "Name of the step").required(),
        field(&R::port, "port", "Which of its sets; empty: whatever came near the step"),
        field(&R::sort, "sort", "Column; with - in front highest first; empty: in the order people count"),
        field(&R::where, "where", "Conditions, all of them"),
        field(&R::columns, "columns", "Columns wanted; empty: all of the set's"));
  }
};

struct EventsRequest {
  static constexpr RequestInfo info{"events",
                                    "What happened after the event with this number; which steps have changed.",
                                    "ok events last sequence steps"};
  std::int64_t since = 0;
  int count = 500;
  double time = 0;
  static constexpr auto fields() {
    using R = EventsRequest;
    return std::tuple(field(&R::since, "since", "Number of the last event that is known"),
                      field(&R::count, "count", "Events at most").range(1, 10'000),
                      field(&R::time, "time", "None from before this time, seconds since 1970"));
  }
};

struct AlarmsRequest {
  static constexpr RequestInfo info{
      "alarms", "Alarms with higher numbers than this: those that stand and those that are over.", "ok alarms last"};
  std::int64_t since = 0;
  int count = 500;
  static constexpr auto fields() {
    using R = AlarmsRequest;
    return std::tuple(field(&R::since, "since", "Number of the last alarm that is known"),
                      field(&R::count, "count", "Alarms at most").range(1, 10'000));
  }
};

struct AcknowledgeRequest {
  static constexpr RequestInfo info{
      "acknowledge", "A person has seen an alarm that stands; it goes on standing until its cause is gone.",
      "ok changed", true};
  std::string item, reason, actor;
  static constexpr auto fields() {
    using R = AcknowledgeRequest;
    return std::tuple(field(&R::item, "item", "Number of the alarm, as status lists it"),
                      field(&R::reason, "reason", "What is done about it, in a person's words"),
                      field(&R::actor, "actor", "The person's name; empty: the login name"));
  }
};

struct WhatIfRequest {
  static constexpr RequestInfo info{"what-if", "How many items other values would keep, from stored numbers.",
                                    "ok steps items computed_again seconds values", false, true};
  Json values = Json::object();
  static constexpr auto fields() { return std::tuple(); }
};

struct RestoreRequest {
  static constexpr RequestInfo info{"restore", "Take an item back that was set aside, try a failed one again.",
                                    "ok changed", true};
  std::string item, reason, actor;
  bool failed = false;
  std::string all_of;
  static constexpr auto fields() {
    using R = RestoreRequest;
    return std::tuple(field(&R::item, "item", "Name, file, path, or first digits of an id"),
                      field(&R::failed, "failed", "Instead of one item all that have failed"),
                      field(&R::all_of, "all_of",
                            "Instead of one item all that failed or were set aside for this reason: a part of the "
                            "message, the rule, its title or reason"),
                      field(&R::reason, "reason", "Why, in a person's words"),
                      field(&R::actor, "actor", "The person's name; empty: the login name"));
  }
};

struct SetAsideRequest {
  static constexpr RequestInfo info{"set-aside", "Set an item aside by hand.", "ok changed", true};
  std::string item, reason, actor;
  static constexpr auto fields() {
    using R = SetAsideRequest;
    return std::tuple(field(&R::item, "item", "Name, file, path, or first digits of an id"),
                      field(&R::reason, "reason", "Why, in a person's words"),
                      field(&R::actor, "actor", "The person's name; empty: the login name"));
  }
};

struct DecideRequest {
  static constexpr RequestInfo info{"decide", "Restore several items, or set them aside, in one go.", "ok changed",
                                    true};
  std::vector<std::string> items;
  bool accept = false;
  std::string reason, actor;
  static constexpr auto fields() {
    using R = DecideRequest;
    return std::tuple(field(&R::items, "items", "Names, files, paths, or first digits of ids").required(),
                      field(&R::accept, "accept", "true: restore; false: set aside"),
                      field(&R::reason, "reason", "Why, in a person's words"),
                      field(&R::actor, "actor", "The person's name; empty: the login name"));
  }
};

struct SetRequest {
  static constexpr RequestInfo info{"set", "Change parameters at work; what is still asked for is kept.",
                                    "ok changed values", true, true};
  std::string actor;
  Json values = Json::object();
  static constexpr auto fields() {
    return std::tuple(field(&SetRequest::actor, "actor", "The person's name; empty: the login name"));
  }
};

struct ApproveRequest {
  static constexpr RequestInfo info{"approve", "Let a step start that waits for a person; the item is its name.",
                                    "ok changed", true};
  std::string item, actor;
  static constexpr auto fields() {
    using R = ApproveRequest;
    return std::tuple(field(&R::item, "item", "Name of the step"),
                      field(&R::actor, "actor", "The person's name; empty: the login name"));
  }
};

struct AnswerRequest {
  static constexpr RequestInfo info{"answer", "Answer a question that status lists, once; the result is checked.",
                                    "ok changed", true};
  std::string item;
  std::vector<std::string> files;
  std::optional<bool> accept;
  std::string reason, actor;
  static constexpr auto fields() {
    using R = AnswerRequest;
    return std::tuple(
        field(&R::item, "item", "Number of the question, or the name of its step or item where that is enough"),
        field(&R::files, "files", "Absolute names of files that hold the answer"),
        field(&R::accept, "accept", "Where that is asked: true to accept or let start, false to set aside"),
        field(&R::reason, "reason", "Why, in a person's words"),
        field(&R::actor, "actor", "The person's name; empty: the login name"));
  }
};

struct CancelRequest {
  static constexpr RequestInfo info{
      "cancel", "End one task, or the iteration of a step. It counts as failed; restore takes it up again.",
      "ok changed", true};
  std::string item, actor;
  static constexpr auto fields() {
    using R = CancelRequest;
    return std::tuple(
        field(&R::item, "item", "Number of the task, as status lists it, or name of a step that iterates"),
        field(&R::actor, "actor", "The person's name; empty: the login name"));
  }
};

/// Requests that only name what is to be done.
template <class Name>
struct PlainRequest {
  static constexpr RequestInfo info = Name::info;
  std::string actor;
  static constexpr auto fields() {
    return std::tuple(field(&PlainRequest::actor, "actor", "The person's name; empty: the login name"));
  }
};
struct Pause {
  static constexpr RequestInfo info{"pause", "Start no more tasks.", "ok note", true};
};
struct Resume {
  static constexpr RequestInfo info{"resume", "Go on after a pause.", "ok note", true};
};
struct Close {
  static constexpr RequestInfo info{"close", "No more files will come.", "ok note", true};
};
struct Stop {
  static constexpr RequestInfo info{"stop", "End the engine in order.", "ok", true};
};

}  // namespace frazil::engine
