//! Lists: pages by a cursor, filters, and sorting by columns that were named for it.
//!
//! A cursor holds the sort value and the number of the last row of a page, so that a page costs the same wherever it
//! is, and rows that come or go meanwhile neither repeat nor hide others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::access::Scope;
use db::{Db, Row, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::entity::EntityError;

/// Rows on one page at the most.
pub const LIMIT_MAX: i64 = 200;
/// Rows on one page where the request does not say.
pub const LIMIT_DEFAULT: i64 = 50;
/// The longest text that a search looks for.
const SEARCH_CHARS_MAX: usize = 200;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items, in the order that was asked for.
    pub items: Vec<T>,
    /// What `cursor` is for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Something that a list can be sorted by: its name in requests, and its column, which is never null.
pub type SortKey = (&'static str, &'static str);

/// What a request wants of a list.
#[derive(Debug)]
pub struct Listing {
    limit: i64,
    column: &'static str,
    descending: bool,
    after: Option<(Value, i64)>,
}

/// A cursor as it is written; the names are short because it travels in every URL.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    #[serde(rename = "s")]
    sort: String,
    #[serde(rename = "v")]
    value: serde_json::Value,
    #[serde(rename = "i")]
    id: i64,
}

impl Listing {
    /// Reads the parameters `limit`, `cursor` and `sort` (`name`, or `-name` for the other way round) of a request;
    /// the first of `sort_keys` is the default.
    ///
    /// # Errors
    /// [`EntityError::Invalid`] naming the parameter that does not fit.
    pub fn read(
        limit: Option<i64>,
        cursor: Option<&str>,
        sort: Option<&str>,
        sort_keys: &[SortKey],
    ) -> Result<Self, EntityError> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(EntityError::field("limit", format!("must be from 1 to {LIMIT_MAX}")));
        }
        let sort = sort.unwrap_or(sort_keys[0].0);
        let (name, descending) = sort.strip_prefix('-').map_or((sort, false), |name| (name, true));
        let Some((_, column)) = sort_keys.iter().find(|(key, _)| *key == name) else {
            let names: Vec<&str> = sort_keys.iter().map(|(key, _)| *key).collect();
            return Err(EntityError::field("sort", format!("must be one of {}; -name sorts down", names.join(", "))));
        };
        let after = cursor.map(|cursor| read_cursor(cursor, column)).transpose()?;
        Ok(Self { limit, column, descending, after })
    }

    /// Reads one page of `select` (a statement up to its `from` clause, whose columns include the sort column and
    /// `id_column`) as far as `filter` lets through.
    ///
    /// # Errors
    /// Those of the database and of `read_row`.
    pub async fn page<T, E: From<EntityError>>(
        &self,
        db: &Db,
        select: &str,
        id_column: &str,
        filter: Filter,
        read_row: impl Fn(&Row) -> Result<T, E>,
    ) -> Result<Page<T>, E> {
        let (sql, params) = self.statement(select, id_column, filter);
        let rows = db.query(&sql, &params).await.map_err(|error| match error {
            // What works without a cursor fails with one only when its value is not of the column's type.
            db::Error::Statement { .. } if self.after.is_some() => wrong_cursor(),
            error => error.into(),
        })?;
        let page_length = usize::try_from(self.limit).expect("checked to be small and positive");
        let next_cursor = match rows.get(page_length - 1) {
            Some(last) if rows.len() > page_length => Some(self.cursor_after(last, id_column)?),
            _ => None,
        };
        let items = rows.iter().take(page_length).map(read_row).collect::<Result<_, _>>()?;
        Ok(Page { items, next_cursor })
    }

    fn statement(&self, select: &str, id_column: &str, mut filter: Filter) -> (String, Vec<Value>) {
        let (column, direction) = (self.column, if self.descending { "desc" } else { "asc" });
        if let Some((value, id)) = &self.after {
            let comparison = if self.descending { '<' } else { '>' };
            let (value, id) = (filter.bind(value.clone()), filter.bind(Value::Int(*id)));
            filter.conditions.push(format!("({column}, {id_column}) {comparison} ({value}, {id})"));
        }
        let limit = filter.bind(Value::Int(self.limit + 1));
        let conditions = match filter.conditions.is_empty() {
            true => String::new(),
            false => format!(" where {}", filter.conditions.join(" and ")),
        };
        let order = format!("order by {column} {direction}, {id_column} {direction} limit {limit}");
        (format!("{select}{conditions} {order}"), filter.params)
    }

    fn cursor_after(&self, row: &Row, id_column: &str) -> Result<String, EntityError> {
        let id: i64 = row.get(id_column)?;
        let value = match row.get::<i64>(self.column) {
            Ok(number) => serde_json::Value::from(number),
            Err(_) => serde_json::Value::from(row.get::<String>(self.column)?),
        };
        let cursor = Cursor { sort: self.column.to_owned(), value, id };
        let json = serde_json::to_vec(&cursor).expect("texts and numbers are always JSON");
        Ok(URL_SAFE_NO_PAD.encode(json))
    }
}

fn read_cursor(text: &str, column: &str) -> Result<(Value, i64), EntityError> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong_cursor())?;
    let cursor: Cursor = serde_json::from_slice(&json).map_err(|_| wrong_cursor())?;
    if cursor.sort != column {
        return Err(wrong_cursor());
    }
    let value = match cursor.value {
        serde_json::Value::String(text) if !text.contains('\0') => Value::Text(text),
        serde_json::Value::Number(number) => Value::Int(number.as_i64().ok_or_else(wrong_cursor)?),
        _ => return Err(wrong_cursor()),
    };
    Ok((value, cursor.id))
}

fn wrong_cursor() -> EntityError {
    EntityError::field("cursor", "is not one that this list gave, in this order")
}

/// Conditions on a list, all of which hold for its rows.
#[derive(Debug, Default)]
pub struct Filter {
    conditions: Vec<String>,
    params: Vec<Value>,
}

impl Filter {
    /// A condition without values, for example `deleted_at is null`.
    #[must_use]
    pub fn condition(mut self, sql: &str) -> Self {
        self.conditions.push(sql.to_owned());
        self
    }

    /// A condition with values, each of which takes the place of a `{}` in it.
    #[must_use]
    pub fn condition_of(mut self, sql: &str, values: impl IntoIterator<Item = Value>) -> Self {
        let condition = values.into_iter().fold(sql.to_owned(), |sql, value| sql.replacen("{}", &self.bind(value), 1));
        self.conditions.push(condition);
        self
    }

    /// The column has the value; nothing where the request names none.
    #[must_use]
    pub fn equals(self, column: &str, value: Option<impl Into<Value>>) -> Self {
        self.compared(column, "=", value)
    }

    /// The column has the value or more; nothing where the request names none.
    #[must_use]
    pub fn at_least(self, column: &str, value: Option<impl Into<Value>>) -> Self {
        self.compared(column, ">=", value)
    }

    /// The column has less than the value; nothing where the request names none.
    #[must_use]
    pub fn below(self, column: &str, value: Option<impl Into<Value>>) -> Self {
        self.compared(column, "<", value)
    }

    fn compared(mut self, column: &str, comparison: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            let place = self.bind(value.into());
            self.conditions.push(format!("{column} {comparison} {place}"));
        }
        self
    }

    /// One of the columns, which hold lower case, contains the text without regard to case.
    ///
    /// # Errors
    /// [`EntityError::Invalid`] for `name` when the text is too long.
    pub fn contains(mut self, name: &str, columns: &[&str], text: Option<&str>) -> Result<Self, EntityError> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(self) };
        if text.chars().count() > SEARCH_CHARS_MAX {
            return Err(EntityError::field(name, format!("must have at most {SEARCH_CHARS_MAX} characters")));
        }
        let mut pattern = String::from("%");
        for letter in text.to_lowercase().chars() {
            if matches!(letter, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push('%');
        let matches: Vec<String> = columns
            .iter()
            .map(|column| format!("{column} like {} escape '\\'", self.bind(Value::Text(pattern.clone()))))
            .collect();
        self.conditions.push(format!("({})", matches.join(" or ")));
        Ok(self)
    }

    /// The row is within one of the scopes; each column is where a row names its headquarters or its department, and
    /// absent where rows have none, which no such scope covers.
    #[must_use]
    pub fn covered_by(mut self, scopes: &[Scope], headquarters: Option<&str>, department: Option<&str>) -> Self {
        if scopes.contains(&Scope::All) {
            return self;
        }
        let mut matches = Vec::new();
        for scope in scopes {
            let (column, id) = match *scope {
                Scope::All => continue,
                Scope::Headquarters { headquarter_id } => (headquarters, headquarter_id),
                Scope::Department { department_id } => (department, department_id),
            };
            if let Some(column) = column {
                matches.push(format!("{column} = {}", self.bind(Value::Int(id))));
            }
        }
        self.conditions.push(match matches.is_empty() {
            true => "1 = 0".to_owned(),
            false => format!("({})", matches.join(" or ")),
        });
        self
    }

    /// The place of a value in the statement. Places are used in order, as SQLite numbers them by appearance.
    fn bind(&mut self, value: Value) -> String {
        self.params.push(value);
        format!("${}", self.params.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[SortKey] = &[("id", "job_id"), ("title", "title_folded")];

    fn invalid(result: Result<Listing, EntityError>) -> String {
        let EntityError::Invalid(fields) = result.unwrap_err() else { panic!("another error") };
        fields[0].field.clone()
    }

    #[test]
    fn a_statement_filters_sorts_and_goes_on_after_the_cursor() {
        let cursor = Cursor { sort: "title_folded".to_owned(), value: "cook".into(), id: 7 };
        let cursor = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap());
        let listing = Listing::read(Some(2), Some(&cursor), Some("-title"), KEYS).unwrap();
        let filter = Filter::default().condition("deleted_at is null").equals("status", Some("draft"));
        let filter = filter.contains("q", &["title_folded"], Some("100%")).unwrap();
        let filter = filter.condition_of("pay > {} + {}", [Value::Int(1), Value::Int(2)]);
        let (sql, params) = listing.statement("select * from jobs", "job_id", filter);
        assert_eq!(
            sql,
            "select * from jobs where deleted_at is null and status = $1 and (title_folded like $2 escape '\\') \
             and pay > $3 + $4 and (title_folded, job_id) < ($5, $6) \
             order by title_folded desc, job_id desc limit $7"
        );
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            params,
            [text("draft"), text("%100\\%%"), Value::Int(1), Value::Int(2), text("cook"), Value::Int(7), Value::Int(3),]
        );
    }

    #[test]
    fn scopes_limit_a_list_to_what_they_cover() {
        let listing = Listing::read(Some(1), None, None, KEYS).unwrap();
        let sql = |scopes: &[Scope], department| {
            let filter = Filter::default().covered_by(scopes, Some("headquarter_id"), department);
            listing.statement("select * from jobs", "job_id", filter).0
        };
        let (one, two) = (Scope::Headquarters { headquarter_id: 1 }, Scope::Department { department_id: 2 });
        assert!(sql(&[one, two], Some("department_id")).contains("where (headquarter_id = $1 or department_id = $2)"));
        assert!(sql(&[one, two], None).contains("where (headquarter_id = $1) order"));
        assert!(sql(&[two], None).contains("where 1 = 0"));
        assert!(!sql(&[one, Scope::All], None).contains("where"));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(invalid(Listing::read(Some(0), None, None, KEYS)), "limit");
        assert_eq!(invalid(Listing::read(None, None, Some("salary"), KEYS)), "sort");
        assert_eq!(invalid(Listing::read(None, Some("junk"), None, KEYS)), "cursor");
        let other = URL_SAFE_NO_PAD.encode(r#"{"s":"title_folded","v":"x","i":1}"#);
        assert_eq!(invalid(Listing::read(None, Some(&other), None, KEYS)), "cursor");
        let nul = URL_SAFE_NO_PAD.encode(r#"{"s":"title_folded","v":"\u0000","i":1}"#);
        assert_eq!(invalid(Listing::read(None, Some(&nul), Some("title"), KEYS)), "cursor");
    }
}
