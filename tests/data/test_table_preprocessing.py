"""Tables of numbers, truth values and texts become what scikit-learn's parts make of them, and come back."""

import copy
import datetime
import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import rhohat
from rhohat import TablePreprocessor
from rhohat.common.exceptions import ModelFileError
from rhohat.common.tensor_files import read_tensor_file, write_tensor_file
from rhohat.models.pipelines import encode_blocks, fit_model, open_model_rows, reconstruct_blocks
from tests.tolerances import ORACLE

SKLEARN = tuple(map(int, sklearn.__version__.split(".")[:2]))
NUMBERS = ["alcohol", "ash", "proline"]
TEXTS = ["grape", "strength"]


@pytest.fixture
def wines():
    """178 wines: three columns of numbers, two of texts, one of truth values; a number and a text have gaps."""
    wines = load_wine(as_frame=True)
    table = wines.data[NUMBERS].assign(
        grape=np.array(["Barolo", "Grignolino", "Barbera"])[wines.target],
        strength=pd.cut(wines.data["alcohol"], 5, labels=["low", "light", "middle", "high", "top"]).astype(object),
        dark=wines.data["color_intensity"] > 5,
    )
    table.loc[::10, "ash"] = np.nan
    table.loc[3::17, "strength"] = None
    return table


@parametrize_with_checks([TablePreprocessor(), TablePreprocessor("standard"), TablePreprocessor(missing="error")])
def test_scikit_learns_contract_is_kept(estimator, check):
    if SKLEARN < (1, 7) and check.func.__name__ == "check_positive_only_tag_during_fit":
        pytest.skip("this check of scikit-learn 1.6 subtracts the mean from integers in place, which NumPy refuses")
    check(estimator)


@pytest.mark.filterwarnings("ignore:column 'grape' holds 1 text that the training did not have:UserWarning")
@pytest.mark.parametrize(("scale", "scaler"), [("minmax", MinMaxScaler), ("standard", StandardScaler)])
def test_numbers_and_categories_are_those_of_scikit_learns_parts(wines, scale, scaler):
    texts = wines[TEXTS].fillna("(missing)")
    wines.loc[5, "strength"] = texts.loc[5, "strength"] = "a single one"
    wines.loc[[6, 7], "grape"] = texts.loc[[6, 7], "grape"] = ["Merlot", "Malbec"]
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2, sparse_output=False)
    scale_first = make_pipeline(scaler(), SimpleImputer(add_indicator=True))  # its mean is that of the known numbers
    reference = make_column_transformer((scale_first, NUMBERS), (encoder, TEXTS)).fit(wines.assign(**texts))
    ours = TablePreprocessor(scale).fit(wines).set_output(transform="pandas")
    new = wines.iloc[::3].copy()
    new.iloc[0, new.columns.get_loc("grape")] = "Tempranillo"  # unknown
    rare = {"grape": "grape_infrequent_sklearn", "strength": "strength_infrequent_sklearn"}
    for table in (wines, new):
        theirs = pd.DataFrame(
            reference.transform(table.assign(**table[TEXTS].fillna("(missing)"))),
            columns=[name.partition("__")[2] for name in reference.get_feature_names_out()],
        )
        made = ours.transform(table)
        np.testing.assert_allclose(made[NUMBERS], theirs[NUMBERS], atol=ORACLE)
        np.testing.assert_array_equal(made["ash (missing)"], theirs["missingindicator_ash"])
        np.testing.assert_array_equal(made["dark"], table["dark"])
        for name in made.columns:
            column, _, text = name.partition("=")
            if text:
                np.testing.assert_array_equal(made[name], theirs[f"{column}_{text}"])
        for column, name in rare.items():
            np.testing.assert_array_equal(made[f"{column} (rare)"], theirs[name])
        np.testing.assert_array_equal(made["strength (missing)"], theirs["strength_(missing)"])
    assert len(made.columns) == theirs.shape[1] + 1


def test_a_table_comes_back_from_its_numbers(wines):
    for scale in ("minmax", "standard", "none"):
        preprocessor = TablePreprocessor(scale).fit(wines)
        back = preprocessor.inverse_transform(preprocessor.transform(wines))
        assert list(back.columns) == list(wines.columns)
        np.testing.assert_allclose(back[NUMBERS], wines[NUMBERS], rtol=1e-12)
        assert (back["grape"] == wines["grape"]).all()
        assert list(back["strength"].isna()) == list(wines["strength"].isna())
        assert (back["strength"] == wines["strength"]).sum() == wines["strength"].notna().sum()
        assert (back["dark"] == wines["dark"]).all()
        numbers = pd.DataFrame(
            preprocessor.unscale(preprocessor.transform(wines)), columns=preprocessor.get_feature_names_out()
        )
        np.testing.assert_allclose(numbers["proline"], wines["proline"], rtol=1e-12)
        np.testing.assert_array_equal(numbers["grape=Barolo"], wines["grape"] == "Barolo")
    some = wines.iloc[5:9].set_index(np.array(["a", "b", "c", "d"]))
    framed = TablePreprocessor().fit(wines).set_output(transform="pandas")
    assert framed.inverse_transform(framed.transform(some)).index.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match=r"X must have 14 columns, as transform returns; got 3"):
        preprocessor.inverse_transform(np.zeros((2, 3)))


DTYPES = pd.DataFrame(
    {
        "integer": [1, 2, 3, 4],
        "small": np.array([1, 2, 3, 4], np.int8),
        "nullable": pd.array([1, None, 3, 2], dtype="Int64"),
        "single": np.array([1, 2.5, 3, 4], np.float32),
        "truth": [True, False, True, True],
        "boolean": pd.array([True, None, False, True], dtype="boolean"),
        "category": pd.Categorical(["x", "y", "x", "y"]),
        "string": pd.array(["a", None, "b", "a"], dtype="string"),
        "text": ["a", "b", "a", "b"],
        "objects": [True, False, None, True],
    }
)


@pytest.mark.parametrize("scale", ["minmax", "standard", "none"])
def test_columns_come_back_in_their_dtypes(scale, tmp_path):
    preprocessor = TablePreprocessor(scale, min_frequency=1).fit(DTYPES)
    made = preprocessor.transform(DTYPES)
    pd.testing.assert_frame_equal(preprocessor.inverse_transform(made), DTYPES)
    model = make_pipeline(preprocessor, rhohat.SparseAutoencoder(n_components=2, random_state=0, max_iter=300))
    rhohat.save(model.fit(DTYPES), tmp_path / "m.safetensors")
    loaded = rhohat.load(tmp_path / "m.safetensors")[0]
    assert loaded.dtypes_ == preprocessor.dtypes_
    pd.testing.assert_frame_equal(loaded.inverse_transform(made), DTYPES)


def test_values_that_have_no_place_in_a_dtype_come_back_in_one_that_has_room():
    preprocessor = TablePreprocessor(min_frequency=1).fit(DTYPES)
    back = preprocessor.inverse_transform(0.93 * preprocessor.transform(DTYPES))
    assert back["integer"].tolist() == pytest.approx([1, 1.93, 2.86, 3.79])
    assert [str(dtype) for dtype in back.dtypes[:5]] == ["float64", "float64", "float64", "float32", "bool"]
    assert back["nullable"].isna().tolist() == [False, True, False, False]


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32", "float64", "bool"])
def test_arrays_come_back_in_their_dtype(dtype):
    rows = (np.arange(12).reshape(4, 3) % 5 > 1) if dtype == "bool" else np.arange(12).reshape(4, 3).astype(dtype)
    preprocessor = TablePreprocessor().fit(rows)
    back = preprocessor.inverse_transform(preprocessor.transform(rows))
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, rows)


def test_a_table_of_three_axes_is_refused_by_name():
    for X in (np.zeros((4, 3, 2)), [[[1, 2]], [[3, 4]]]):
        with pytest.raises(ValueError, match=r"X must be a table, with two axes, rows and columns; it has the shape"):
            TablePreprocessor().fit(X)


def test_rare_texts_share_a_column_and_unknown_ones_have_none():
    table = pd.DataFrame({"city": ["Oslo"] * 3 + ["Rome"] * 2 + ["Lima", "Bern"]})
    preprocessor = TablePreprocessor().fit(table)
    assert list(preprocessor.get_feature_names_out()) == ["city=Oslo", "city=Rome", "city (rare)"]
    with pytest.warns(UserWarning, match="'city' has 1 gap and had none in the training, so that no category is set"):
        made = preprocessor.transform(pd.DataFrame({"city": ["Bern", "Paris", None]}))
    assert made.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert preprocessor.inverse_transform([[0, 0, 1], [0.2, 0.7, 0.1]])["city"].tolist() == ["(rare)", "Rome"]
    two = TablePreprocessor(max_categories=2).fit(table)
    assert list(two.get_feature_names_out()) == ["city=Oslo", "city (rare)"]
    none = TablePreprocessor(min_frequency=1).fit(table)
    assert list(none.get_feature_names_out()) == ["city=Bern", "city=Lima", "city=Oslo", "city=Rome"]
    with pytest.warns(UserWarning, match=r"1 text that the training did not have \('Paris'\), in 1 row, and it counts"):
        unknown = none.transform(pd.DataFrame({"city": ["Paris"]}))
    assert unknown.tolist() == [[0, 0, 0, 0]]
    assert none.inverse_transform(unknown)["city"].isna().tolist() == [True]


def test_every_kind_of_column_of_pandas_is_taken():
    table = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3, 2], dtype="Int64"),
            "arrow": pd.array([1.0, 2.0, None, 3.0], dtype="float64[pyarrow]"),
            "truth": pd.array([True, None, False, True], dtype="boolean"),
            "text": pd.array(["a", None, "b", "a"], dtype="string"),
            "code": pd.Categorical([7, 8, 7, 8]),
            "objects": [True, False, None, True],
            "mixture": [1, "one", 1, "one"],
        }
    )
    preprocessor = TablePreprocessor(min_frequency=1).fit(table)
    assert [str(column.kind) for column in preprocessor.columns_] == [
        *("number", "number", "truth", "text", "text", "truth", "text")
    ]
    made = pd.DataFrame(preprocessor.transform(table), columns=preprocessor.get_feature_names_out())
    assert made["whole"].tolist() == [0, 0.5, 1, 0.5]
    assert made["truth"].tolist() == [1, 2 / 3, 0, 1]
    assert made["truth (missing)"].tolist() == [0, 1, 0, 0]
    assert made["code=7"].tolist() == [1, 0, 1, 0]
    assert made["mixture=one"].tolist() == [0, 1, 0, 1]
    arrays = table[["mixture"]].to_numpy()
    assert list(TablePreprocessor().fit(arrays).get_feature_names_out()) == ["x0=1", "x0=one"]
    assert TablePreprocessor().fit(arrays).inverse_transform([[1, 0]]).tolist() == [["1"]]


def test_all_columns_of_dates_are_refused_at_once(wines):
    wines["bottled"] = pd.date_range("2020-01-01", periods=len(wines))
    wines["sold"] = [f"{day % 28 + 1}.02.2021" for day in range(len(wines))]
    wines["drunk"] = [datetime.date(2022, 1, 1)] * len(wines)
    with pytest.raises(
        ValueError, match=r"'bottled' \(such as '2020.*'sold' \(such as '1\.02\.2021.*'drunk' \(such as '2022"
    ):
        TablePreprocessor().fit(wines)


def test_what_cannot_be_learned_from_is_told_of_all_columns(wines):
    wines["nothing"], wines["void"] = np.nan, None
    with pytest.raises(ValueError, match="no value at all in the columns 'nothing', 'void'"):
        TablePreprocessor().fit(wines)
    with pytest.raises(
        ValueError, match=r"'sold' holds dates \(such as .*no value at all in .*'nothing', 'void'.*'ash', 'strength'"
    ):
        TablePreprocessor(missing="error").fit(wines.assign(sold="2024-02-29"))
    wines = wines.drop(columns=["nothing", "void"])
    with pytest.raises(ValueError, match=r"missing \(NaN\) in the columns 'ash', 'strength'. Pass missing='impute'"):
        TablePreprocessor(missing="error").fit(wines)
    whole = TablePreprocessor(missing="error").fit(wines.dropna())
    with pytest.raises(ValueError, match=r"missing \(NaN\) in the columns 'ash', 'strength'"):
        whole.transform(wines)
    with pytest.raises(ValueError, match=r"infinity, in the columns 'alcohol'"):
        TablePreprocessor().fit(wines.assign(alcohol=np.inf))
    with pytest.raises(ValueError, match=r"column 'lists' holds \[1\], of the type list"):
        TablePreprocessor().fit(wines.assign(lists=[[1]] * len(wines)))
    with pytest.raises(ValueError, match="several columns would be named 'grape=Barolo'"):
        TablePreprocessor().fit(wines.assign(**{"grape=Barolo": 1.0}))
    with pytest.warns(
        UserWarning, match="nearly every row has a text of its own in the columns 'name', 'number', such"
    ):
        TablePreprocessor().fit(
            wines.assign(name=[f"wine {k}" for k in range(len(wines))], number=[f"n{k}" for k in range(len(wines))])
        )


def test_other_tables_are_compared_with_that_of_the_fit(wines):
    preprocessor = TablePreprocessor().fit(wines)
    with pytest.raises(
        ValueError,
        match="'ash' holds texts, but it held numbers in the fit; column 'dark' holds texts, but it held truths",
    ):
        preprocessor.transform(wines.assign(ash="much", dark="very"))
    with pytest.raises(ValueError, match="feature names"):
        preprocessor.transform(wines[wines.columns[::-1]])
    with pytest.raises(NotFittedError):
        TablePreprocessor().transform(wines)
    numbered = wines.assign(grape=np.arange(len(wines)) % 3)  # numbers in a column of texts are texts
    with pytest.warns(UserWarning, match="holds 3 texts that the training did not have"):
        assert preprocessor.transform(numbered)[:, 4:7].sum() == 0


@pytest.fixture(params=["csv", "parquet"])
def file(request, wines, tmp_path):
    path = tmp_path / f"wines.{request.param}"
    if request.param == "csv":
        wines.to_csv(path, index=False)
    else:
        wines.to_parquet(path, index=False, row_group_size=50)
    return path


def small():
    return rhohat.SparseAutoencoder(n_components=3, max_iter=5, random_state=0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_file_is_learned_as_the_frame_is_and_the_model_is_kept(wines, file, tmp_path):
    in_memory = make_pipeline(TablePreprocessor(), small()).fit(wines)
    with rhohat.open_rows(file, texts="code", missing="keep") as rows:
        assert rows.shape == (178, 6)
        model = fit_model(make_pipeline(TablePreprocessor(), small()), rows)
    np.testing.assert_allclose(model[-1].theta_, in_memory[-1].theta_, rtol=1e-9)
    assert model[0].columns_ == in_memory[0].columns_
    rhohat.save(model, tmp_path / "model.safetensors")
    loaded = rhohat.load(tmp_path / "model.safetensors")
    assert loaded[0].columns_ == model[0].columns_
    np.testing.assert_array_equal(loaded.transform(wines), model.transform(wines))
    for data in (wines, file, wines[wines.columns[::-1]]):
        with open_model_rows(loaded, data) as rows:
            codes = np.concatenate([block.copy() for block in encode_blocks(loaded, rows[20:100])])
            np.testing.assert_allclose(codes, model.transform(wines)[20:100], atol=ORACLE)
            made = np.concatenate(list(reconstruct_blocks(loaded, rows)))
            assert made.shape == wines.shape
            assert set(made[:, 3]) <= set(wines["grape"])
    assert 0 < rhohat.evaluate(loaded, file).mean_squared_error < 0.2


def test_rows_with_gaps_are_left_out_of_files(file, wines):
    with rhohat.open_rows(file, texts="code", missing="drop") as rows:
        assert len(rows) == len(wines.dropna()) < rows.n_rows_found
        assert not np.isnan(rows.read(0, len(rows))).any()
        made = TablePreprocessor().fit(rows).transform(rows)
        np.testing.assert_allclose(
            made.read(0, len(rows)), TablePreprocessor().fit(wines.dropna()).transform(wines.dropna()), atol=ORACLE
        )
    with pytest.raises(ValueError, match=r"'strength'.*'ash'|'ash'.*'strength'"):
        list(rhohat.open_rows(file, texts="code").blocks(100))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_columns_of_a_file_that_hold_other_than_before_are_refused(file, wines, tmp_path):
    model = fit_model(make_pipeline(TablePreprocessor(), small()), rhohat.open_rows(wines.dropna(), texts="code"))
    other = wines.assign(ash="much")
    path = tmp_path / f"other{file.suffix}"
    other.to_csv(path, index=False) if file.suffix == ".csv" else other.to_parquet(path, index=False)
    with pytest.raises(ValueError, match="column 'ash' holds"), open_model_rows(model, path) as rows:
        list(encode_blocks(model, rows))


def test_codes_are_only_for_those_who_know_what_they_stand_for(file):
    with (
        rhohat.open_rows(file, texts="code", missing="drop") as rows,
        pytest.raises(ValueError, match="its numbers may stand for texts, which SparseAutoencoder cannot learn from"),
    ):
        small().fit(rows)
    with pytest.raises(ValueError, match="texts must be 'error' or 'code'; got 'drop'"):
        rhohat.open_rows(file, texts="drop")


def test_a_few_texts_among_numbers_are_mistakes(tmp_path):
    lines = [f"{number},{number % 7},{'a' if number % 3 else number}" for number in range(100)]
    lines[10], lines[20] = "ten,3,a", "20,three,a"
    path = tmp_path / "t.csv"
    path.write_text("x,y,ticket\n" + "\n".join(lines))
    with pytest.raises(
        ValueError,
        match=r"a few texts among them: in line 12, column 'x' holds 'ten'; in line 22, column 'y' holds 'three'",
    ):
        rhohat.open_rows(path, texts="code")
    path.write_text("x,y,ticket\n" + "\n".join(lines[:10]))
    with rhohat.open_rows(path, texts="code") as rows:
        assert [str(kind) for kind in rows.coding.kinds] == ["number", "number", "text"]
        assert rows.coding.texts[2] == ("0", "a", "3", "6", "9")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda learned, arrays: learned["kinds"].pop(), "must have"),
        (lambda learned, arrays: learned["kinds"].__setitem__(0, "date"), "holds no texts"),
        (lambda learned, arrays: learned["kinds"].__setitem__(3, "number"), "holds no texts"),
        (lambda learned, arrays: learned["kinds"].__setitem__(0, "os.system"), "not a valid Kind"),
        (lambda learned, arrays: learned["has_rare"].__setitem__(0, 3), "not sorted and different"),
        (lambda learned, arrays: learned["has_missing"].append(True), "different lengths"),
        (lambda learned, arrays: arrays["steps.0.scale"].__setitem__(0, 0.0), "not positive"),
        (lambda learned, arrays: arrays["steps.0.fill"].__setitem__(0, np.nan), "not finite"),
        (lambda learned, arrays: arrays.pop("steps.0.shift"), "lacks the tensor"),
        (lambda learned, arrays: with_categories(arrays, 3, ["b", "a", "c"]), "not sorted and different"),
        (lambda learned, arrays: with_categories(arrays, 3, ["a", "b"]), "do not fit together"),
        (lambda learned, arrays: with_categories(arrays, 3, "abc"), "not sorted and different"),
        (lambda learned, arrays: with_categories(arrays, 0, ["a"]), "holds no texts"),
        (lambda learned, arrays: with_categories(arrays, 0, ["a"], "rare"), "holds no texts"),
        (lambda learned, arrays: with_categories(arrays, 3, ["b", "a"], "rare"), "not sorted and different"),
        (lambda learned, arrays: learned.__setitem__("dtypes", ["float64[pyarrow]"]), "dtypes of the columns"),
        (lambda learned, arrays: learned["dtypes"].pop(), "dtypes of the columns"),
    ],
)
def test_forged_files_are_refused(wines, tmp_path, edit, problem):
    path = tmp_path / "model.safetensors"
    rhohat.save(make_pipeline(TablePreprocessor(), small()).fit(wines), path)
    record, arrays = read_tensor_file(path, "rhohat model 1")
    record, arrays = copy.deepcopy(record), {name: np.array(array) for name, array in arrays.items()}
    edit(record["model"]["steps"][0][1]["learned"], arrays)
    write_tensor_file(path, "rhohat model 1", record, arrays)
    with pytest.raises(ModelFileError, match=problem):
        rhohat.load(path)


def with_categories(arrays, column, texts, name="categories"):
    categories = json.loads(arrays[f"steps.0.{name}"].tobytes())
    categories[column] = texts
    arrays[f"steps.0.{name}"] = np.frombuffer(json.dumps(categories).encode(), np.uint8)


def test_it_is_copied_and_searched_like_others(wines):
    preprocessor = TablePreprocessor().fit(wines)
    again = pickle.loads(pickle.dumps(preprocessor))  # noqa: S301 - it was just written
    np.testing.assert_array_equal(again.transform(wines), preprocessor.transform(wines))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = rhohat.SoftmaxRegression(max_iter=20, random_state=0)
        model = make_pipeline(TablePreprocessor(), classifier).fit(wines.drop(columns="grape"), wines["grape"])
    assert model.score(wines.drop(columns="grape"), wines["grape"]) > 0.7


def test_what_the_fit_did_not_have_is_warned_of_once_for_all_columns(wines):
    preprocessor = TablePreprocessor().fit(wines)
    new = wines.iloc[1:9].copy()
    new.loc[[1, 2, 5], "grape"] = ["Merlot", "Malbec", "Merlot"]
    new.loc[[3, 4], "proline"] = np.nan
    with pytest.warns(UserWarning, match="the training did not have") as said:
        made = preprocessor.transform(new)
    assert [str(one.message) for one in said] == [
        "column 'proline' has 2 gaps and had none in the training, so that the mean is filled in; column 'grape' holds"
        " 2 texts that the training did not have ('Merlot' and 'Malbec'), in 3 rows, and they count as none of its"
        " categories."
    ]
    names = list(preprocessor.get_feature_names_out())
    grapes = [place for place, name in enumerate(names) if name.startswith("grape")]
    assert made[[0, 1, 4]][:, grapes].sum() == 0


def test_new_texts_are_told_from_rare_ones_with_which_they_share_a_column(wines, tmp_path):
    wines.loc[5, "grape"] = "a single one"
    preprocessor = TablePreprocessor().fit(wines)
    new = wines.iloc[:4].copy()
    new.loc[:2, "grape"] = ["a single one", "Merlot", "Merlot"]
    said = "column 'grape' holds 1 text that the training did not have ('Merlot'), in 2 rows, and it counts as rare."
    with pytest.warns(UserWarning, match="the training did not have") as warned:
        made = preprocessor.transform(new)
    assert [str(one.message) for one in warned] == [said]
    assert made[:, list(preprocessor.get_feature_names_out()).index("grape (rare)")].sum() == 3
    model = make_pipeline(preprocessor, rhohat.SparseAutoencoder(n_components=2, random_state=0, max_iter=300))
    rhohat.save(model.fit(wines), tmp_path / "m.safetensors")
    assert rhohat.load(tmp_path / "m.safetensors")[0].columns_ == preprocessor.columns_


def test_too_many_rare_texts_are_not_remembered_so_that_nothing_is_said_of_new_ones(monkeypatch):
    monkeypatch.setattr("rhohat.data.table_preprocessing._MOST_RARE", 3)
    table = pd.DataFrame({"city": ["Oslo", "Rome"] * 8 + list("abcd")})
    preprocessor = TablePreprocessor().fit(table)
    assert preprocessor.columns_[0].rare is None
    preprocessor.transform(pd.DataFrame({"city": ["Paris"]}))
    assert TablePreprocessor().fit(table[:-1]).columns_[0].rare == ("a", "b", "c")


def test_gaps_of_a_column_that_had_some_are_not_warned_of(wines):
    new = wines.iloc[:4].copy()
    new["strength"] = np.nan
    assert np.isfinite(TablePreprocessor().fit(wines).transform(new)).all()
