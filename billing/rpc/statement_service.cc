#include "billing/rpc/statement_service.h"

#include <fmt/format.h>

#include <map>

#include "billing/adapters/closing.h"
#include "billing/adapters/cost_store.h"
#include "billing/core/account_rules.h"
#include "billing/documents/invoice_files.h"
#include "billing/rpc/attributed.h"
#include "billing/rpc/messages.h"
#include "billing/rpc/statement_messages.h"

namespace tidegate::billing {

namespace {

void read_one_state(pqxx::work& tx) { tx.exec0("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"); }

Result<InvoiceContent> load_content(pqxx::work& tx, const std::string& invoice, bool with_parts) {
  InvoiceContent out;
  TG_ASSIGN(out.invoice, find_invoice(tx, invoice));
  out.lines = load_lines(tx, out.invoice.id, with_parts);
  out.payments = list_payments(tx, out.invoice);
  return out;
}

/// Names of the invoice's projects and of the tenant's keys, for exports.
FocusNames names_of(pqxx::work& tx, const InvoiceContent& content) {
  std::map<ProjectId, std::string> projects;
  for (const auto& row : content.lines) projects.emplace(row.line.key.project, row.project_name);
  std::map<ApiKeyId, std::string> keys;
  for (auto& [id, name] : list_key_names(tx, content.invoice.tenant)) keys.emplace(id, std::move(name));
  const auto name_in = [](const auto& names, const auto& id) {
    const auto found = names.find(id);
    return found == names.end() ? std::string() : found->second;
  };
  return {[projects, name_in](const ProjectId& id) { return name_in(projects, id); },
          [keys, name_in](const ApiKeyId& id) { return name_in(keys, id); }};
}

std::string file_name(const InvoiceRow& invoice, const char* ending) {
  return fmt::format("{}{}", invoice.number.empty() ? "draft-" + invoice.id.to_string() : invoice.number, ending);
}

Result<v1::InvoiceDocument> make_document(pqxx::work& tx, const InvoiceContent& content, v1::DocumentFormat format) {
  v1::InvoiceDocument out;
  switch (format) {
    case v1::DOCUMENT_FORMAT_PDF: {
      TG_ASSIGN(auto rendered, invoice_pdf(content));
      out.set_content(std::move(rendered.bytes));
      out.set_file_name(file_name(content.invoice, ".pdf"));
      out.set_media_type("application/pdf");
      return out;
    }
    case v1::DOCUMENT_FORMAT_CSV:
      out.set_content(invoice_csv(content, names_of(tx, content)));
      out.set_file_name(file_name(content.invoice, ".csv"));
      out.set_media_type("text/csv; charset=utf-8");
      return out;
    case v1::DOCUMENT_FORMAT_FOCUS: {
      TG_ASSIGN(const auto rows, invoice_focus(content, names_of(tx, content)));
      out.set_content(focus_header() + rows);
      out.set_file_name(file_name(content.invoice, "-focus.csv"));
      out.set_media_type("text/csv; charset=utf-8");
      return out;
    }
    default:
      return fail(Code::kInvalidArgument, "bad_format", "format must be PDF, CSV or FOCUS", "format");
  }
}

}  // namespace

template <typename Response, typename Work>
StatementService::Reactor* StatementService::serve(Call* call, Response* response, Work work, const char* method) {
  auto handler = [this, work = std::move(work)](const AdminCall& c) -> Result<Response> {
    return context_.pool.run_blocking(c.deadline(), attributed(c, work));
  };
  return host_.serve(call, response, std::move(handler), method);
}

template <typename Work>
StatementService::Reactor* StatementService::serve_logged(Call* call, v1::Invoice* response, const char* event,
                                                          Work work, const char* method) {
  auto handler = [this, event, work = std::move(work)](const AdminCall& c) -> Result<v1::Invoice> {
    auto invoice = context_.pool.run_blocking(c.deadline(), attributed(c, work));
    if (invoice) log_invoice(event, *invoice);
    return invoice;
  };
  return host_.serve(call, response, std::move(handler), method);
}

void StatementService::log_invoice(const char* event, const v1::Invoice& invoice) const {
  context_.log.info(
      event, {kv("invoice", invoice.invoice_id()), kv("number", invoice.number()), kv("tenant", invoice.tenant_name()),
              kv("total", invoice.total()), kv("currency", invoice.currency())});
}

StatementService::Reactor* StatementService::SaveIssuer(Call* call, const v1::Issuer* request, v1::Issuer* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::Issuer> {
    const std::string id = request->issuer().empty() ? "default" : request->issuer();
    IssuerRow row{
        id, request->legal_name(), request->address(), request->tax_id(), request->prefix(), request->credit_prefix()};
    if (const auto before = find_issuer(tx, id)) {
      if (row.prefix.empty()) row.prefix = before->prefix;
      if (row.credit_prefix.empty()) row.credit_prefix = before->credit_prefix;
    }
    TG_ASSIGN(const auto saved, save_issuer(tx, row));
    return to_message(saved);
  });
}

StatementService::Reactor* StatementService::SaveBillingProfile(Call* call, const v1::BillingProfile* request,
                                                                v1::BillingProfile* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::BillingProfile> {
    TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
    ProfileRow row;
    row.tenant = tenant.id;
    if (!request->issuer().empty()) row.issuer = request->issuer();
    row.legal_name = request->legal_name();
    row.address = request->address();
    row.tax_id = request->tax_id();
    if (!request->tax_name().empty()) row.tax_name = request->tax_name();
    TG_ASSIGN(row.tax, TaxRate::parse(request->tax_rate()));
    TG_ASSIGN(const auto saved, save_profile(tx, row));
    return to_message(saved, tenant.name);
  });
}

StatementService::Reactor* StatementService::GetBillingProfile(Call* call, const v1::GetBillingProfileRequest* request,
                                                               v1::BillingProfile* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::BillingProfile> {
    TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
    return to_message(load_profile(tx, tenant.id), tenant.name);
  });
}

StatementService::Reactor* StatementService::CloseInvoices(Call* call, const v1::CloseInvoicesRequest* request,
                                                           v1::CloseInvoicesResponse* response) {
  return host_.serve(call, response, [this, request](const AdminCall& c) -> Result<v1::CloseInvoicesResponse> {
    ClosingRequest wanted;
    auto find = [request](pqxx::work& tx) { return tenant_filter(tx, request->tenant()); };
    TG_ASSIGN(wanted.tenant, context_.pool.run_blocking(c.deadline(), find));
    wanted.actor = c.caller().actor;
    wanted.origin = c.context().peer();
    wanted.is_draft = request->is_draft();
    wanted.grace = request->grace_us() < 0 ? grace_ : std::chrono::microseconds(request->grace_us());
    TG_ASSIGN(const auto report, close_months(context_.pool, wanted, context_.ids, context_.clock, c.deadline()));
    v1::CloseInvoicesResponse out;
    for (const auto& [tenant_name, month] : report.closed) {
      auto* closed = out.add_closed();
      closed->set_tenant_name(tenant_name);
      closed->set_month(month.month);
      if (!month.invoice) continue;
      *closed->mutable_invoice() = to_message(*month.invoice);
      log_invoice("invoice_closed", closed->invoice());
    }
    out.set_has_more(report.has_more);
    return out;
  });
}

StatementService::Reactor* StatementService::ListInvoices(Call* call, const v1::ListInvoicesRequest* request,
                                                          v1::ListInvoicesResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListInvoicesResponse> {
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
    v1::ListInvoicesResponse out;
    for (const auto& row : list_invoices(tx, tenant, page)) *out.add_invoices() = to_message(row);
    return out;
  });
}

StatementService::Reactor* StatementService::GetInvoice(Call* call, const v1::GetInvoiceRequest* request,
                                                        v1::InvoiceDetail* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::InvoiceDetail> {
    read_one_state(tx);
    TG_ASSIGN(const auto content, load_content(tx, request->invoice(), false));
    v1::InvoiceDetail out;
    *out.mutable_invoice() = to_message(content.invoice);
    for (const auto& line : content.lines) *out.add_lines() = to_message(line);
    return out;
  });
}

StatementService::Reactor* StatementService::PreviewInvoice(Call* call, const v1::PreviewInvoiceRequest* request,
                                                            v1::InvoiceDetail* response) {
  const Wall now = context_.clock.wall();
  return serve(call, response, [request, now](pqxx::work& tx) -> Result<v1::InvoiceDetail> {
    read_one_state(tx);
    TG_ASSIGN(const auto tenant, find_tenant(tx, request->tenant()));
    v1::InvoiceDetail out;
    for (const auto& wallet : list_wallets_to_close(tx, tenant.id)) {
      if (wallet.wallet != tenant.wallet) continue;
      TG_ASSIGN(const auto preview, preview_month(tx, wallet, now));
      *out.mutable_invoice() = to_message(preview.first);
      int number = 0;
      for (const auto& line : preview.second) *out.add_lines() = to_message(InvoiceLineRow{++number, {}, {}, line});
    }
    return out;
  });
}

StatementService::Reactor* StatementService::IssueInvoice(Call* call, const v1::IssueInvoiceRequest* request,
                                                          v1::Invoice* response) {
  const Wall now = context_.clock.wall();
  auto work = [request, now, tx_id = context_.ids.next()](pqxx::work& tx) -> Result<v1::Invoice> {
    TG_ASSIGN(const auto found, find_invoice(tx, request->invoice()));
    TG_ASSIGN(const auto issued, issue_invoice(tx, found.id, tx_id, now));
    return to_message(issued);
  };
  return serve_logged(call, response, "invoice_issued", std::move(work));
}

StatementService::Reactor* StatementService::VoidInvoice(Call* call, const v1::VoidInvoiceRequest* request,
                                                         v1::Invoice* response) {
  const Wall now = context_.clock.wall();
  auto work = [request, now, tx_id = context_.ids.next()](pqxx::work& tx) -> Result<v1::Invoice> {
    TG_TRY(check_note(request->reason()));
    if (request->reason().empty()) {
      return fail(Code::kInvalidArgument, "bad_note", "reason must say why the invoice is void: it is printed",
                  "reason");
    }
    TG_ASSIGN(const auto found, find_invoice(tx, request->invoice()));
    TG_ASSIGN(const auto voided, void_invoice(tx, found.id, request->reason(), tx_id, now));
    return to_message(voided);
  };
  return serve_logged(call, response, "invoice_voided", std::move(work));
}

StatementService::Reactor* StatementService::ReplaceInvoice(Call* call, const v1::ReplaceInvoiceRequest* request,
                                                            v1::Invoice* response) {
  const Wall now = context_.clock.wall();
  const Uuid id = context_.ids.next(), tx_id = context_.ids.next();
  auto work = [request, now, id, tx_id](pqxx::work& tx) -> Result<v1::Invoice> {
    TG_ASSIGN(const auto found, find_invoice(tx, request->invoice()));
    TG_ASSIGN(auto made, replace_invoice(tx, found.id, id, now));
    if (!request->is_draft()) {
      TG_ASSIGN(made, issue_invoice(tx, id, tx_id, now));
    }
    return to_message(made);
  };
  return serve_logged(call, response, "invoice_replaced", std::move(work));
}

StatementService::Reactor* StatementService::ListLineRequests(Call* call, const v1::ListLineRequestsRequest* request,
                                                              v1::ListLineRequestsResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ListLineRequestsResponse> {
    read_one_state(tx);
    TG_ASSIGN(const auto page, read_page(request->page()));
    TG_ASSIGN(const auto invoice, find_invoice(tx, request->invoice()));
    TG_ASSIGN(const auto rows, list_line_requests(tx, invoice, request->line(), page));
    v1::ListLineRequestsResponse out;
    for (const auto& row : rows) *out.add_requests() = to_message(row);
    return out;
  });
}

StatementService::Reactor* StatementService::GetInvoiceDocument(Call* call,
                                                                const v1::GetInvoiceDocumentRequest* request,
                                                                v1::InvoiceDocument* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::InvoiceDocument> {
    read_one_state(tx);
    TG_ASSIGN(const auto content, load_content(tx, request->invoice(), request->format() != v1::DOCUMENT_FORMAT_PDF));
    return make_document(tx, content, request->format());
  });
}

StatementService::Reactor* StatementService::ExportFocus(Call* call, const v1::ExportFocusRequest* request,
                                                         v1::ExportFocusResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::ExportFocusResponse> {
    read_one_state(tx);
    TG_ASSIGN(const auto tenant, tenant_filter(tx, request->tenant()));
    if (!request->after().empty()) {
      TG_TRY(Uuid::parse(request->after()));
    }
    const auto next = next_issued(tx, {tenant, request->from_us(), request->to_us(), request->after()});
    v1::ExportFocusResponse out;
    if (request->after().empty()) out.set_csv(focus_header());
    if (!next) return out;
    TG_ASSIGN(const auto content, load_content(tx, next->to_string(), true));
    TG_ASSIGN(const auto csv, invoice_focus(content, names_of(tx, content)));
    out.mutable_csv()->append(csv);
    out.set_invoice(content.invoice.id.to_string());
    return out;
  });
}

StatementService::Reactor* StatementService::LoadCosts(Call* call, const v1::LoadCostsRequest* request,
                                                       v1::LoadCostsResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::LoadCostsResponse> {
    TG_ASSIGN(const auto file, parse_cost_file(request->file_json()));
    TG_ASSIGN(const auto loaded, load_costs(tx, file));
    v1::LoadCostsResponse out;
    out.set_rates_added(loaded.rates_added);
    out.set_allocations_added(loaded.use_added);
    out.set_unchanged(loaded.unchanged);
    return out;
  });
}

StatementService::Reactor* StatementService::GetMargin(Call* call, const v1::GetMarginRequest* request,
                                                       v1::GetMarginResponse* response) {
  return serve(call, response, [request](pqxx::work& tx) -> Result<v1::GetMarginResponse> {
    read_one_state(tx);
    const auto by = parse_margin_by(request->by());
    if (!by) return fail(Code::kInvalidArgument, "bad_grouping", "by must be model, hour or band", "by");
    MarginFilter filter{wall_from_unix_micros(request->from_us()), wall_from_unix_micros(request->to_us()),
                        request->currency().empty() ? "USD" : request->currency(), request->model()};
    TG_ASSIGN(const auto report, load_margin(tx, filter, *by));
    v1::GetMarginResponse out;
    for (const auto& row : report.rows) *out.add_rows() = to_message(row);
    *out.mutable_total() = to_message(report.total);
    out.set_idle_cost(report.idle.to_string());
    return out;
  });
}

}  // namespace tidegate::billing
