//! The catalogue of error codes: each code of a [`Problem`](crate::errors::Problem) or of one of its `errors`, with its
//! HTTP statuses. A test fails if the code of the program has an error code that is not here, or the reverse.

/// A code that programs can rely on.
pub struct ErrorCode {
    pub code: &'static str,
    /// The HTTP statuses of problems with this code.
    pub statuses: &'static [u16],
    /// The cause, and what the caller can do.
    pub meaning: &'static str,
}

const fn code(code: &'static str, statuses: &'static [u16], meaning: &'static str) -> ErrorCode {
    ErrorCode { code, statuses, meaning }
}

/// A group of codes, as docs/errors.md shows them.
pub struct Group {
    pub title: &'static str,
    pub codes: &'static [ErrorCode],
}

/// All codes.
pub fn all() -> impl Iterator<Item = &'static ErrorCode> {
    CATALOGUE.iter().flat_map(|group| group.codes)
}

/// docs/errors.md.
pub fn page() -> String {
    let mut page = include_str!("../../assets/errors.md").to_owned();
    for group in CATALOGUE {
        page += &format!("\n## {}\n\n| code | status | meaning |\n|---|---|---|\n", group.title);
        for entry in group.codes {
            let statuses: Vec<_> = entry.statuses.iter().map(u16::to_string).collect();
            page += &format!("| `{}` | {} | {} |\n", entry.code, statuses.join(", "), entry.meaning);
        }
    }
    page
}

/// Each group sorted by code.
pub const CATALOGUE: &[Group] = &[
    Group {
        title: "The request",
        codes: &[
            code("body_timeout", &[408], "The body arrived too slowly. Send the request again."),
            code("body_too_large", &[413], "The body is larger than the limit. Send the data in parts."),
            code(
                "idempotency_key_in_progress",
                &[409],
                "The first request with this `Idempotency-Key` has no response: it still runs, or it failed when it may have been carried out. Wait a minute, then check whether it was carried out, and use a new key only if it was not.",
            ),
            code(
                "idempotency_key_reused",
                &[409],
                "The `Idempotency-Key` was used for a different request. Use a new key for a new request.",
            ),
            code(
                "invalid_amount",
                &[422],
                "An amount or a percentage is not valid, too small or too large. Send text with at most six decimals, such as `\"49.00\"`.",
            ),
            code("invalid_batch", &[422], "The array has no conversions, or too many. Send 1 to 1,000."),
            code(
                "invalid_body",
                &[400],
                "The body is incomplete, or a form of the dashboard cannot be read. Send it again.",
            ),
            code("invalid_cursor", &[400], "The cursor is not valid. Send `next` of the previous page."),
            code(
                "invalid_field",
                &[422],
                "Fields of the body are missing, unknown or not valid. `errors` names each of them.",
            ),
            code("invalid_id", &[400], "The id in the path is not an id of this kind of object."),
            code(
                "invalid_idempotency_key",
                &[400],
                "The `Idempotency-Key` is empty, too long, or not printable ASCII. Send 1 to 255 characters.",
            ),
            code("invalid_json", &[400], "The body is not JSON, or a text in it has the character NUL (`\\u0000`)."),
            code(
                "invalid_parameter",
                &[400],
                "A query parameter is missing, unknown, there twice or not valid, or does not fit the other parameters.",
            ),
            code(
                "method_not_allowed",
                &[405],
                "The path does not allow the method. `/api/docs` lists the methods of each path.",
            ),
            code(
                "not_found",
                &[404],
                "The object does not exist, or the caller may not see it; or the path does not exist.",
            ),
            code(
                "unsupported_media_type",
                &[415],
                "The operation reads JSON, and the `Content-Type` names something else. Send `application/json`.",
            ),
        ],
    },
    Group {
        title: "The caller",
        codes: &[
            code(
                "affiliate_suspended",
                &[403, 422],
                "The affiliate is suspended. It can read, but change nothing (403), and no withdrawal can be requested for it (422).",
            ),
            code(
                "cross_site",
                &[403],
                "A page of another site sent the request with a session. Send it from the dashboard, or use an API key.",
            ),
            code(
                "forbidden",
                &[403],
                "The role of the user, or the scopes of the key, do not have the permission of the operation, or the change would give permissions that the caller does not have.",
            ),
            code(
                "needs_person",
                &[403],
                "The operation needs the session of a user who signed in with a password. API keys cannot perform it.",
            ),
            code(
                "password_needed",
                &[403],
                "The operation needs the password of the person. Send it as `password`, and the code of the second factor, if there is one, as `code`.",
            ),
            code(
                "read_only_session",
                &[403],
                "Staff opened the session for an affiliate, so it can only read. The affiliate must sign in itself.",
            ),
            code(
                "too_many_attempts",
                &[429],
                "There were too many attempts with passwords and codes, or too many requests for messages. Wait for the time in `Retry-After`.",
            ),
            code("unauthorized", &[401], "The API key or session is missing, unknown, expired or revoked."),
        ],
    },
    Group {
        title: "Users and sign-in",
        codes: &[
            code("busy", &[503], "Too many passwords are being checked. Send the request again."),
            code("has_second_factor", &[409], "The account has a second factor. Remove it first."),
            code("last_owner", &[409], "The user is the last active owner. Make another user an owner first."),
            code("link_used", &[410], "The link is unknown, was used or has expired. Request a new one."),
            code(
                "no_second_factor",
                &[409],
                "The account has no second factor, or it was not requested before its first code was sent.",
            ),
            code("not_invited", &[409], "The person accepted the invitation or registered, or the user is disabled."),
            code(
                "registration_closed",
                &[403],
                "Affiliates cannot register themselves. Ask the operator for an invitation.",
            ),
            code(
                "second_factor_needed",
                &[401],
                "The account has a second factor. Send its code, or a recovery code, as `code`.",
            ),
            code(
                "sign_in_failed",
                &[401],
                "The e-mail address, the password or the code of the second factor is wrong.",
            ),
            code("user_disabled", &[403], "The user is disabled. Ask the operator."),
            code(
                "waiting_for_approval",
                &[403],
                "The user registered and is not approved yet. An e-mail tells the user when this changes.",
            ),
            code("weak_password", &[422], "The new password is too short, too long or too easy to guess."),
            code(
                "wrong_code",
                &[422],
                "The code of the second factor, or the recovery code, is wrong or was used before. Wait for the next code.",
            ),
            code("wrong_password", &[422], "The current password is wrong."),
        ],
    },
    Group {
        title: "Limits",
        codes: &[
            code(
                "balance_limit",
                &[422],
                "The account of an affiliate would hold more than 4,000,000,000,000. Check the amounts, or pay out first.",
            ),
            code(
                "too_many_api_keys",
                &[409],
                "The person or the affiliate has the maximum number of active API keys. Revoke one.",
            ),
            code(
                "too_many_links",
                &[409],
                "The affiliate has the maximum number of links. Use one of them with sub ids.",
            ),
            code("too_many_postbacks", &[409], "The affiliate has the maximum number of postbacks. Archive one."),
            code(
                "too_many_reports",
                &[429],
                "Too many reports, exports and statements are running, of this caller or of all. Wait for the time in `Retry-After`, and run fewer at a time.",
            ),
            code(
                "too_many_retries",
                &[429],
                "Too many deliveries and inbound requests were retried. Wait for the time in `Retry-After`.",
            ),
            code("too_many_saved_views", &[409], "The person has the maximum number of saved views. Delete one."),
            code("too_many_sources", &[409], "The affiliate has the maximum number of sources. Archive one."),
            code("too_many_tests", &[429], "Too many test requests were sent. Wait for the time in `Retry-After`."),
            code(
                "took_too_long",
                &[422],
                "The request takes longer than one request may. Request less data, such as a shorter period or fewer groups.",
            ),
        ],
    },
    Group {
        title: "Program",
        codes: &[
            code(
                "approval_not_required",
                &[409],
                "The postback was never submitted for approval. Disable or delete it instead.",
            ),
            code("archived", &[409], "The affiliate or offer is archived and takes nothing new. Restore it first."),
            code("changed_meanwhile", &[409], "Another request changed the object. Read it and send the change again."),
            code(
                "default_offer",
                &[409],
                "The default offer cannot be archived. Make another offer the default first.",
            ),
            code(
                "invalid_landing_url",
                &[422],
                "The URL of a landing page is not valid, has an unknown macro, or contains a control character.",
            ),
            code(
                "invalid_rate",
                &[422],
                "The exchange rate is not valid. Send text above 0 and below 1,000,000 with at most 12 decimals, such as `\"1.0842\"`.",
            ),
            code(
                "not_admitted",
                &[409, 422],
                "The affiliate may not promote the offer: it needs an approved application, or it is suspended.",
            ),
            code(
                "parent_affiliate_cycle",
                &[422],
                "The parent affiliate is a sub-affiliate of this affiliate, or the affiliate itself.",
            ),
            code("taken", &[409], "Another object has this value, which only one can have. Choose another value."),
            code("unknown_parent_affiliate", &[422], "No affiliate has this id or referral code."),
        ],
    },
    Group {
        title: "Conversions",
        codes: &[
            code("amount_missing", &[422], "The offer pays a percentage. Send `amount` or `payout`."),
            code(
                "attribution_missing",
                &[422],
                "No conversion has the transaction id, and the report has no evidence for a new one. Send `click_id`, `referral_code` or `coupon`, or the `customer_id` or `customer_email` of a known customer.",
            ),
            code(
                "conversion_already_rejected",
                &[409],
                "The conversion is rejected, and the requested change is not possible.",
            ),
            code(
                "coupon_not_active",
                &[422],
                "The coupon was not valid at the time of the purchase. Change its dates, or send `purchase_date`.",
            ),
            code(
                "goal_missing",
                &[422],
                "The transaction has conversions of several goals. Send the goal that you mean.",
            ),
            code("not_a_click", &[422], "The id is that of an impression. Send the id of a click."),
            code(
                "not_a_test_conversion",
                &[409],
                "The conversion is real, and only test conversions can be deleted. Reject it instead.",
            ),
            code(
                "offer_ambiguous",
                &[422],
                "The report has no evidence, and several offers have a conversion with the transaction id. Send `offer_id` as well.",
            ),
            code(
                "offer_mismatch",
                &[422],
                "The click or coupon belongs to another offer than `offer_id`. Leave `offer_id` out or correct it.",
            ),
            code(
                "offer_missing",
                &[422],
                "The evidence leads to no offer, and there is no default offer. Send `offer_id`.",
            ),
            code(
                "outside_window",
                &[422],
                "The purchase was after the offer's attribution window. If it was in time, send `purchase_date`.",
            ),
            code(
                "refund_without_sale",
                &[422],
                "A negative amount takes back a part of a sale, and the transaction has none. Report the sale first.",
            ),
            code(
                "retired_rejection_reason",
                &[422],
                "The rejection reason is retired. Use one that is offered, or offer it again.",
            ),
            code(
                "share_too_large",
                &[422],
                "The payout or the revenue, as a share of the corrected amount, is larger than an amount may be.",
            ),
            code(
                "transaction_ambiguous",
                &[422],
                "Several sources have a sale with this transaction id, each of its own click. Send the click id too.",
            ),
            code(
                "transaction_of_another_click",
                &[422],
                "The transaction id belongs to a conversion of another click. Give each sale its own id.",
            ),
            code(
                "transaction_of_another_offer",
                &[422],
                "An order counts once in the program (`one_order_per`), and the sentence names its conversion. Give each order its own id, or reject that conversion first.",
            ),
            code(
                "unknown_click",
                &[422],
                "There is no click with this id. Send the id that the landing page received, unshortened.",
            ),
            code(
                "unknown_goal",
                &[422],
                "The offer lists its goals and refuses others. Send one of them, or change `unknown_goal` of the offer.",
            ),
            code("unknown_coupon", &[422], "No link has this coupon."),
            code(
                "unknown_customer",
                &[422],
                "No earlier conversion of the customer came from a click. Send `click_id`, `referral_code` or `coupon`.",
            ),
            code("unknown_offer", &[422], "There is no offer with this id."),
            code("unknown_referral_code", &[422], "No affiliate has this referral code."),
            code(
                "unknown_rejection_reason",
                &[422],
                "The reason is not in the catalogue. Use one of its codes, or add the reason to it.",
            ),
        ],
    },
    Group {
        title: "Postbacks and sources",
        codes: &[
            code("delivery_in_flight", &[409], "The delivery is being sent. Wait for its outcome."),
            code(
                "delivery_not_retryable",
                &[409],
                "The destination accepted the delivery, or a later one replaced it.",
            ),
            code(
                "invalid_config",
                &[422],
                "The configuration does not fit the schema of the adapter, or has the mask of a secret that is not stored. `errors` names each value.",
            ),
            code(
                "invalid_rule",
                &[422],
                "The adapter does not support a condition of the postback, or its conditions contradict each other. `errors` names each of them.",
            ),
            code(
                "retry_count_changed",
                &[409],
                "More deliveries or inbound requests match than were confirmed. Look at them, and send the new number as `expected`.",
            ),
            code("retry_job_ended", &[409], "The retry job has ended, so it cannot be cancelled."),
            code(
                "retry_job_running",
                &[409],
                "A retry job of the affiliate is running. Wait for its end, or cancel it.",
            ),
            code(
                "retry_nothing_matches",
                &[422],
                "No delivery or inbound request matches the filter, so there is nothing to retry.",
            ),
            code("secret_host_refused", &[422], "The secret was entered for another host. Enter it again."),
            code(
                "secret_unreadable",
                &[409, 422],
                "The server does not have the key that sealed the secret. Start it with that key, or enter the secret again.",
            ),
            code(
                "secret_unusable",
                &[422],
                "The secret has characters that cannot be sent at its place in the request. Enter another one.",
            ),
            code("unknown_adapter", &[422], "There is no adapter with this id."),
            code(
                "verification_failed",
                &[422],
                "The destination did not accept the test request. `verification` has its response.",
            ),
        ],
    },
    Group {
        title: "Adapters",
        codes: &[
            code("adapter_busy", &[409, 503], "All threads for adapters are in use. Send the request again."),
            code("adapter_compile_too_costly", &[422], "The component takes too much time or memory to compile."),
            code("adapter_config_too_large", &[422], "The configuration is too large for the adapter."),
            code("adapter_config_too_many_values", &[422], "The configuration has too many values for the adapter."),
            code("adapter_contract_mismatch", &[422], "The component does not fulfil the contract of adapters."),
            code("adapter_cut_off", &[422], "The component is incomplete. Upload it again."),
            code(
                "adapter_disabled",
                &[409],
                "The version of the adapter is disabled. Enable it, or upgrade the postback to another version.",
            ),
            code("adapter_engine_unavailable", &[503], "The server cannot run adapters now. Send the request again."),
            code("adapter_host_refused", &[422], "The adapter built a request to a host that it did not declare."),
            code("adapter_import_refused", &[422], "The component imports functions that adapters may not use."),
            code("adapter_internal", &[422], "The adapter reports an error of its own."),
            code("adapter_invalid_config", &[422], "The adapter refuses the configuration."),
            code(
                "adapter_invalid_descriptor",
                &[422],
                "The description that the component gives of itself is not valid.",
            ),
            code("adapter_invalid_event", &[422], "The adapter refuses the event."),
            code("adapter_invalid_output", &[422], "The adapter built a request that is not valid."),
            code("adapter_log_flood", &[422], "The adapter wrote too many log lines."),
            code("adapter_memory", &[422], "The adapter needs more memory than it may use."),
            code(
                "adapter_missing",
                &[409],
                "The version of the adapter is not installed on this server. Install it, or upgrade the postback to another version.",
            ),
            code("adapter_not_a_component", &[422], "The file is not a WebAssembly component."),
            code("adapter_out_of_fuel", &[422], "The adapter computes longer than it may."),
            code(
                "adapter_out_of_service",
                &[409],
                "The version of the adapter failed too often, so it is out of service. Enable it again, or upgrade the postback to another version.",
            ),
            code("adapter_output_too_large", &[422], "The output of the adapter is too large."),
            code("adapter_timeout", &[422], "The adapter did not finish in time."),
            code("adapter_too_large", &[413], "The component is larger than a component may be."),
            code("adapter_trap", &[422], "The adapter crashed."),
            code(
                "adapter_unauthenticated",
                &[422],
                "The adapter does not accept the authentication of the notification.",
            ),
            code("adapter_unavailable", &[409], "This server cannot load the adapter. `detail` has the reason."),
            code("adapter_unsupported", &[422], "The adapter does not support this kind of event or notification."),
            code(
                "adapter_version_taken",
                &[409],
                "This version is installed with other bytes. Give the component a new version.",
            ),
        ],
    },
    Group {
        title: "Withdrawals",
        codes: &[
            code(
                "affiliate_indebted",
                &[409],
                "The affiliate owes the program money. Refuse the withdrawal, report it as failed, or send `despite_debt`.",
            ),
            code("amount_too_precise", &[422], "The currency has fewer decimals than the amount."),
            code(
                "balance_indebted",
                &[422],
                "The affiliate owes the program money. Later earnings settle the debt first.",
            ),
            code("batch_dissolved", &[409], "The withdrawal batch was dissolved. Make a new one."),
            code(
                "batch_exported",
                &[409],
                "The payment file of the batch was exported, so the bank may have it. Send `never_sent` if the bank never got it.",
            ),
            code(
                "batch_indebted",
                &[409],
                "Affiliates of the batch owe the program money. Report their withdrawals as failed, or approve them again with `despite_debt`.",
            ),
            code(
                "batch_settled",
                &[409],
                "All withdrawals of the batch are paid or failed, so there is nothing to export.",
            ),
            code(
                "batch_under_way",
                &[409],
                "Payments of the batch were recorded, so the bank has its file. Wait for the other results.",
            ),
            code(
                "below_minimum",
                &[422],
                "The amount is below the minimum of the payout method, an offer or the program.",
            ),
            code("currency_not_paid", &[422], "The payout method does not pay this currency."),
            code("fee_exceeds_amount", &[422], "The fee is not smaller than the amount."),
            code("illegal_step", &[409], "The status of the withdrawal does not allow this step."),
            code(
                "insufficient_balance",
                &[422],
                "The available balance is smaller than the amount, or nothing is available.",
            ),
            code(
                "invalid_details",
                &[422],
                "The payout details do not fit the schema of the payout method. `errors` names each value.",
            ),
            code(
                "exchange_too_small",
                &[422],
                "The amount is worth less than a millionth of the other currency, so nothing would be given. Exchange more.",
            ),
            code("no_exchange_rate", &[422], "There is no exchange rate for these currencies at this time. Add one."),
            code(
                "nothing_to_pay",
                &[409],
                "No approved withdrawal is ready for the batch: each is in a batch, or its affiliate owes the program money.",
            ),
            code(
                "payer_missing",
                &[409],
                "The payment file needs the account that pays. Set `payer` of the payout method.",
            ),
            code(
                "payout_details_missing",
                &[422],
                "The affiliate has no payout details for the payout method. Save them first.",
            ),
            code("payout_method_disabled", &[422], "The payout method is disabled. Choose another one."),
            code(
                "unreadable_results",
                &[422],
                "The file of results is not CSV, has no column for the id or the status, or has too many lines.",
            ),
            code(
                "wrong_file_format",
                &[422],
                "A payment of the batch cannot be written in this file format. Export the batch as `csv`.",
            ),
        ],
    },
    Group {
        title: "The server",
        codes: &[
            code(
                "internal",
                &[500],
                "An internal error occurred, and the request may have been carried out. Check whether it was before you send it again, and tell the operator if the error persists.",
            ),
            code(
                "unavailable",
                &[503],
                "The database did not answer, or the server is stopping. `detail` says whether nothing was changed, so that the request can be sent again, or whether it may have been carried out.",
            ),
        ],
    },
];
